import { fileURLToPath } from 'node:url';
import test from 'ava';
import { end, start, until } from '../../scripts/run.ts';
import type { SizesSettings } from './sizes-peer.ts';
import { ENGINE_PAIRS, INNER6, twoHosts } from './two-hosts.ts';

const PEER = fileURLToPath(new URL('sizes-peer.js', import.meta.url));
/** Every size takes minutes: `WEAVE_TS_STRIDE=1`. */
const STRIDE = Number(process.env['WEAVE_TS_STRIDE'] ?? '127');

function peer(settings: SizesSettings): string[] {
  return [process.execPath, PEER, JSON.stringify(settings)];
}

for (const engines of ENGINE_PAIRS) {
  test(`TCP and UDP messages of all sizes go through ${engines.join(' and ')} engines and back unchanged`, async (t) => {
    t.timeout(1_200_000);
    const { a, b } = await twoHosts(t, 'wz', engines);
    const answering = start(b.inside(peer({ role: 'answer' })));
    t.teardown(() => end(answering));
    let said = '';
    answering.stdout?.on('data', (chunk) => (said += String(chunk)));
    await until('the answering end', 30_000, () => Promise.resolve(said.includes('listening')));
    const asked = await a.must(peer({ role: 'ask', addresses: [b.address, INNER6[1]], stride: STRIDE }), {
      limit: 1_200_000,
    });
    t.log(asked.trim());
    t.regex(asked, /^\d+ sizes\n$/);
  });
}
