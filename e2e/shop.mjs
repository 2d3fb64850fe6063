// A shop for browser tests: the real binary on files of its own or on a fresh PostgreSQL database, and its command
// lines.
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomUUID } from 'node:crypto';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BINARIES = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug');
export const STORES = ['embedded', 'postgres'];
export const ROLES = ['support', 'auditor', 'ops', 'admin', 'service'];

// The processes that were started and not stopped yet. A failed test must leave none running.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// Ports below those that the kernel gives to outgoing connections (32768 and up), where one that is free stays free
// until the shop listens on it. Processes that test beside each other begin at different ones.
let given = 0;
export async function freePort() {
  for (let tries = 0; tries < 10_000; tries += 1) {
    const port = 22_000 + ((process.pid * 100 + given++) % 10_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free from 22000 to 31999');
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

// Waits until `look` returns a truthy value.
export async function eventually(what, look, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`after ${seconds} s: not ${what} (${last?.message ?? last})`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

// Runs a command to its end. Exit codes are answers, not errors.
export function command(program, args, { env = {}, input, seconds = 60 } = {}) {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 1 << 26, timeout: seconds * 1000, killSignal: 'SIGKILL' };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') {
        reject(new Error(`${program} ${args[0] ?? ''}: ${error.killed ? `not done after ${seconds} s` : error.message}`));
      } else {
        resolve({ code: error ? error.code : 0, stdout, stderr });
      }
    });
    // A program that ends before it has read its input reports why in its exit code.
    child.stdin.on('error', (error) => { if (error.code !== 'EPIPE') reject(error); });
    child.stdin.end(input ?? '');
  });
}

async function done(program, args, options) {
  const { code, stdout, stderr } = await command(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

export const soonshop = (shop, ...args) => command(join(BINARIES, 'soonshop'), args, { env: shop.env });
export const replayTool = (shop, ...args) => command(join(BINARIES, 'replay-tool'), args, { env: shop.env });
export const spawnReplayTool = (shop, ...args) => start(join(BINARIES, 'replay-tool'), args, shop.env, 'pipe');

function start(program, args, env, output) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', output, output] });
  running.add(child);
  child.ended = new Promise((resolve) => child.once('exit', (code, signal) => {
    running.delete(child);
    resolve(signal ?? code);
  }));
  return child;
}

function server(name) {
  const url = process.env[name];
  if (!url) throw new Error(`${name} is not set: run \`make test-browser\`, or eval "$(tests/services/services.sh env)"`);
  return url;
}

// Statements for a namespace of the shop's databases, such as `log` or `rm_orders_1`.
export function sql(shop, namespace, statements) {
  if (shop.database) {
    const args = ['-qAtX', '-v', 'ON_ERROR_STOP=1', shop.env.SOONSHOP_STORE];
    return done('psql', args, { input: `SET search_path TO ${namespace};\n${statements}` });
  }
  return done('sqlite3', ['-cmd', '.timeout 10000', join(shop.folder, `${namespace}.sqlite`)], { input: statements });
}

async function rabbit(method, path) {
  const url = new URL(`${server('RABBITMQ_API_URL')}/${path}`);
  const authorization = `Basic ${Buffer.from(`${url.username}:${decodeURIComponent(url.password)}`).toString('base64')}`;
  url.username = url.password = '';
  const answer = await fetch(url, { method, headers: { authorization } });
  if (!answer.ok) throw new Error(`RabbitMQ: ${method} ${path}: ${answer.status}`);
}

// Prepares a shop: `embedded`, on `postgres`, or `apart`, where each role can have a process.
export async function place(store) {
  const folder = await mkdtemp(join(tmpdir(), 'soonshop-e2e-'));
  const id = `e2e${randomUUID().replaceAll('-', '')}`;
  const shop = { store, folder, keys: {}, processes: [] };
  shop.env = {
    SOONSHOP_STORE: `sqlite://${folder}`,
    SOONSHOP_BUS: 'in-process:',
    SOONSHOP_CACHE: 'moka:',
    SOONSHOP_SEARCH: `tantivy://${folder}/search`,
    SOONSHOP_MASTER_KEY_FILE: join(folder, 'master.key'),
    SOONSHOP_SEAL_KEY_FILE: join(folder, 'seal.key'),
    SOONSHOP_OPERATOR_TOKEN_FILE: join(folder, 'operator.token'),
    SOONSHOP_LOG: 'warn',
    SOONSHOP_RATE: 'off',
  };
  if (store !== 'embedded') {
    shop.database = id;
    await done('psql', ['-qX', server('POSTGRES_URL'), '-c', `CREATE DATABASE ${id}`]);
    shop.env.SOONSHOP_STORE = server('POSTGRES_URL').replace(/[^/]+$/, id);
  }
  if (store === 'apart') {
    shop.apart = id;
    await rabbit('PUT', `vhosts/${id}`);
    shop.env.SOONSHOP_BUS = server('AMQP_URL').replace(/[^/]+$/, id);
    shop.env.SOONSHOP_SEARCH = `${server('ELASTICSEARCH_URL')}?prefix=${id}_`;
  }
  return shop;
}

// Starts a process of the shop, and waits until it says that it is ready. Started again, it keeps its address.
export async function serve(shop, args = ['dev'], port) {
  const one = { args, port: port ?? (await freePort()) };
  one.origin = `http://127.0.0.1:${one.port}`;
  const log = join(shop.folder, 'shop.log');
  const file = openSync(log, 'a');
  const child = start(join(BINARIES, 'soonshop'), [...args, '--listen', `127.0.0.1:${one.port}`], shop.env, file);
  closeSync(file);
  let gone;
  child.once('error', (error) => (gone = error.message));
  child.ended.then((how) => (gone ??= `it ended with ${how}`));
  one.stop = (signal = 'SIGTERM') => (child.kill(signal), child.ended);
  shop.processes.push(one);
  await eventually('the shop is ready', async () => {
    if (gone) return Promise.reject(new Error(gone));
    return (await fetch(`${one.origin}/health/ready`)).ok;
  }, 60).catch(async (error) => {
    throw new Error(`${error.message}\n${await readFile(log, 'utf8')}`);
  });
  return one;
}

export async function startAgain(shop, one) {
  shop.processes = shop.processes.filter((other) => other !== one);
  return serve(shop, one.args, one.port);
}

// A running shop, with sample data and a key for every role.
export async function open(store) {
  const shop = await place(store);
  try {
    if (store === 'apart') {
      for (const verb of ['migrate', 'seed']) await done(join(BINARIES, 'soonshop'), [verb], { env: shop.env });
      shop.origin = (await serve(shop, ['serve', '--role', 'query-api'])).origin;
      shop.commands = (await serve(shop, ['serve', '--role', 'command-api', '--name', 'commands'])).origin;
      shop.worker = await serve(shop, ['serve', '--role', 'projector', '--name', 'worker']);
      await serve(shop, ['serve', '--role', 'reactor', '--name', 'reactor']);
      // Without it the shop works by polling, and says that it is not well.
      await serve(shop, ['serve', '--role', 'relay', '--name', 'relay']);
    } else {
      shop.origin = (await serve(shop)).origin;
    }
    shop.token = (await readFile(shop.env.SOONSHOP_OPERATOR_TOKEN_FILE, 'utf8')).trim();
    for (const role of ROLES) {
      const made = await soonshop(shop, 'key', 'create', '--role', role, '--name', `test-of-${role}`);
      shop.keys[role] = made.stdout.match(/ssk_[\w-]+/)?.[0];
      if (!shop.keys[role]) throw new Error(`no key of the role ${role}: ${made.stderr}`);
    }
    return shop;
  } catch (error) {
    await remove(shop);
    throw error;
  }
}

// Stops all processes, and removes what was created.
export async function remove(shop) {
  await Promise.all(shop.processes.map((one) => one.stop()));
  if (shop.apart) {
    await rabbit('DELETE', `vhosts/${shop.apart}`);
    const names = await (await fetch(`${server('ELASTICSEARCH_URL')}/_cat/indices/${shop.apart}_*?h=index&expand_wildcards=all`)).text();
    for (const name of names.split('\n').filter(Boolean)) {
      await fetch(`${server('ELASTICSEARCH_URL')}/${name.trim()}`, { method: 'DELETE' });
    }
  }
  if (shop.database) {
    await done('psql', ['-qX', server('POSTGRES_URL'), '-c', `DROP DATABASE ${shop.database} WITH (FORCE)`]);
  }
  await rm(shop.folder, { recursive: true, force: true });
}

// Sends one request. `as` is a role, `operator`, or missing; a refusal is an error unless `status` expects it.
export async function call(shop, method, path, { as, body, headers = {}, status } = {}) {
  const key = as === 'operator' ? shop.token : shop.keys[as];
  const sent = { ...headers };
  if (key) sent.authorization = `Bearer ${key}`;
  if (body !== undefined) sent['content-type'] = 'application/json';
  if (method === 'POST') sent['idempotency-key'] ??= randomUUID();
  const origin = method === 'GET' ? shop.origin : shop.commands ?? shop.origin;
  const answer = await fetch(`${origin}${path}`, {
    method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), redirect: 'manual',
  });
  const text = await answer.text();
  if (status === undefined ? !answer.ok : answer.status !== status) {
    throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
  }
  const json = /[/+]json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : null;
  return { status: answer.status, headers: answer.headers, text, json };
}

export const get = (shop, path, options) => call(shop, 'GET', path, options);
export const post = (shop, path, body, options) => call(shop, 'POST', path, { body, ...options });
