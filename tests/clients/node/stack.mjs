// The simulated Azure and the gateway in front of it, started from the built binary and ended by SIGTERM.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const TOP = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.AZGATE_BIN ?? `${TOP}target/debug/azgate`;
const VIRTUAL_KEYS = ['any', 'classic', 'v1', 'entra', 'refused', 'narrow', 'expired', 'disabled', 'spent', 'small', 'single', 'ample'];

// Starts both for the tests of one file. The addresses are there once the first test runs.
export function startStack() {
  const stack = { keys: {}, processes: [], log: '' };
  before(() => start(stack));
  after(() => stop(stack));
  return stack;
}

async function start(stack) {
  const [sim, gateway, admin] = await Promise.all([freePort(), freePort(), freePort()]);
  Object.assign(stack, { simulator: `http://${sim}`, gateway: `http://${gateway}`, admin: `http://${admin}` });
  const env = { ...process.env, SIM_URL: stack.simulator, SIM_KEY: 'sim-key', SIM_WRONG_KEY: 'wrong-key', SIM_SECRET: 'sim-secret' };
  stack.state = env.STATE_DIRECTORY = await mkdtemp(join(tmpdir(), 'azgate-'));
  for (const name of VIRTUAL_KEYS) {
    env[`VK_${name.toUpperCase()}`] = stack.keys[name] = randomBytes(32).toString('base64url');
  }
  const config = `${TOP}tests/clients/azgate.json`;
  run(stack, ['simulate', '--listen', sim], env);
  run(stack, ['run', '--config', config, '--listen', gateway, '--admin-listen', admin], env);
  await ready(stack);
}

async function stop(stack) {
  for (const child of stack.processes.reverse()) {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  }
  await rm(stack.state, { recursive: true });
}

function run(stack, args, env) {
  const child = spawn(BINARY, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (data) => (stack.log = (stack.log + data).slice(-20_000)));
  }
  stack.processes.push(child);
}

async function ready(stack) {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(50)) {
    const answer = await fetch(`${stack.admin}/readyz`).catch(() => undefined);
    if (answer?.status === 200) return;
    if (stack.processes.some((child) => child.exitCode !== null)) break;
  }
  console.error(`the gateway did not become ready\n${stack.log}`);
  process.exit(1);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}
