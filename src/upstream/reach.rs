//! Which addresses may be connected to on whose behalf.

use std::net::IpAddr;

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any: the operator named the host.
    Any,
    /// A caller named the host: neither this machine nor the cloud's own service addresses (SPEC, "Direct keys").
    /// Private networks stay reachable, since a private endpoint is how many resources are deployed.
    NotLocal,
}

impl Reach {
    /// The first address that is out of reach. One is enough to refuse a name: whoever made it lead here means no good.
    pub(super) fn forbidden(self, ips: &[IpAddr]) -> Option<IpAddr> {
        ips.iter().copied().find(|ip| self == Self::NotLocal && is_local(*ip))
    }
}

/// Addresses of this machine and of the cloud's own services: loopback, unspecified, link-local (169.254.169.254 is
/// the metadata service), multicast and reserved ranges, and Azure's virtual public address 168.63.129.16. Addresses
/// that embed an IPv4 address are judged by it.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.octets()[0] == 0
                || ip.octets()[0] >= 240
                || ip.octets() == [168, 63, 129, 16]
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            let embedded = |high: u16, low: u16| {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                is_local(IpAddr::from([a, b, c, d]))
            };
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || s[0] & 0xffc0 == 0xfe80
                || s[0] & 0xffc0 == 0xfec0
                || (s[..6] == [0, 0, 0, 0, 0, 0xffff] && embedded(s[6], s[7]))
                || (s[..6] == [0; 6] && embedded(s[6], s[7]))
                || (s[..2] == [0x64, 0xff9b] && embedded(s[6], s[7]))
                || (s[0] == 0x2002 && embedded(s[1], s[2]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_service_addresses_are_known_in_every_disguise() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
        ] {
            assert!(is_local(text.parse().unwrap()), "{text}");
        }
        for text in ["10.1.2.3", "172.16.0.1", "20.42.1.1", "2603:1030::1", "fd00::1"] {
            assert!(!is_local(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn one_local_address_among_others_is_enough_to_refuse_a_caller() {
        let ips = ["20.42.1.1", "127.0.0.1"].map(|text| text.parse().unwrap());
        assert_eq!(Reach::NotLocal.forbidden(&ips), Some(ips[1]));
        assert_eq!(Reach::NotLocal.forbidden(&ips[..1]), None);
        assert_eq!(Reach::Any.forbidden(&ips), None);
    }
}
