//! `azgate man`: the manual page, for packages.

use clap::CommandFactory;

use super::{Failed, print};

/// What follows the options.
const MORE: &str = r#".SH FILES
.TP
/etc/azgate/azgate.json
The configuration; \fBazgate check\fR says what it means, or everything that is wrong with it.
.TP
/etc/azgate/azure.key
With the service unit: a secret that the configuration calls \fBcred.azure.key\fR.
.TP
/etc/azgate/environment
With the service unit: variables that the configuration calls \fBenv.\fR\fINAME\fR.
.SH SIGNALS
.TP
SIGHUP
Reads the configuration again. A valid one replaces the old one as a whole, an invalid one changes nothing.
.TP
SIGUSR2
Starts the program anew; once the new process serves, this one drains and ends.
.TP
SIGTERM, SIGQUIT
Ends when the requests and streams in progress have ended, at the latest after
\fBserver.shutdown_grace_seconds\fR.
.TP
SIGINT
Ends at once.
.SH EXIT STATUS
0 for success, 1 when what was asked failed, 2 for wrong usage.
"#;

pub(super) fn run() -> Result<(), Failed> {
    let manual = clap_mangen::Man::new(super::Arguments::command().disable_help_subcommand(true));
    let mut page = Vec::new();
    manual.render(&mut page).map_err(|error| Failed(error.to_string()))?;
    page.extend_from_slice(MORE.as_bytes());
    print(&String::from_utf8_lossy(&page))
}
