import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Messages of many sizes, each sent back and compared byte for byte. Run in a namespace: one answers, one asks. */
export type SizesSettings =
  | { readonly role: 'answer' }
  | {
      readonly role: 'ask';
      readonly addresses: readonly string[];
      /** Every so many bytes from LAST_OF_EACH on; below, every size. */
      readonly stride: number;
    };

const PORT = 5000;
/** IPv4 and UDP headers leave room for 65,507. */
const LONGEST = 65_000;
/** Some way beyond what one packet of an underlay of 1,500 carries. */
const LAST_OF_EACH = 1_600;
const PATIENCE_MS = 30_000;

/** Bytes of no pattern, the same in every run. */
const noise = new Uint8Array(2 * 65_536);
for (let i = 0, state = 1; i < noise.length; i++) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  noise[i] = state >>> 16;
}

/** What is sent as the message of `size` bytes. */
function message(size: number): Uint8Array {
  const from = (size * 7_919) % 65_536;
  return noise.subarray(from, from + size);
}

function sizes(stride: number): number[] {
  const all: number[] = [];
  for (let size = 1; size <= LONGEST; size += size < LAST_OF_EACH ? 1 : stride) all.push(size);
  if (all.at(-1) !== LONGEST) all.push(LONGEST);
  return all;
}

async function answer(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) =>
    socket.on('error', () => undefined).pipe(socket),
  );
  server.listen(PORT, '::');
  const socket = createSocket('udp6');
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(PORT);
  await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
  process.stdout.write('listening\n');
}

/** Sends one message and returns what came back. */
type Ask = (bytes: Uint8Array) => Promise<Uint8Array>;

async function overTcp(address: string): Promise<Ask> {
  const socket = connect({ host: address, port: PORT, noDelay: true });
  await once(socket, 'connect');
  return (bytes) =>
    new Promise((resolve, reject) => {
      const back = new Uint8Array(bytes.length);
      let length = 0;
      const take = (chunk: Uint8Array): void => {
        if (length + chunk.length > back.length) reject(new Error('more came back than was sent'));
        else back.set(chunk, length);
        length += chunk.length;
        if (length < back.length) return;
        socket.off('data', take);
        resolve(back);
      };
      socket.on('data', take).once('error', reject);
      socket.write(bytes);
    });
}

async function overUdp(address: string): Promise<Ask> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.connect(PORT, address);
  await once(socket, 'connect');
  return async (bytes) => {
    const back = once(socket, 'message') as Promise<[Uint8Array]>;
    socket.send(bytes);
    return (await back)[0];
  };
}

/** One flow through all sizes, one after the other. */
async function flow(name: string, ask: Ask, all: readonly number[]): Promise<void> {
  for (const size of all) {
    const stop = new AbortController();
    const late = sleep(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => undefined);
    const back = await Promise.race([ask(message(size)), late]);
    stop.abort();
    late.catch(() => undefined);
    if (back === undefined) throw new Error(`${name}: ${size} bytes did not come back`);
    if (Buffer.compare(back, message(size)) !== 0)
      throw new Error(`${name}: ${size} bytes came back changed`);
  }
}

/** All flows at once, so that their frames mix. */
async function askAll(addresses: readonly string[], stride: number): Promise<void> {
  const all = sizes(stride);
  const flows = addresses.flatMap((address) => [
    overTcp(address).then((ask) => flow(`TCP to ${address}`, ask, all)),
    overUdp(address).then((ask) => flow(`UDP to ${address}`, ask, all)),
  ]);
  await Promise.all(flows);
  process.stdout.write(`${all.length} sizes\n`);
}

const settings = JSON.parse(process.argv[2] ?? '{}') as SizesSettings;
if (settings.role === 'answer') {
  await answer();
} else {
  try {
    await askAll(settings.addresses, settings.stride);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
