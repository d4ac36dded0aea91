import test from 'ava';
import { byteCount, counted, fields, painted, table } from '../../cli/render.ts';
import { isStatusPart, overviewText, STATUS_PARTS } from '../../cli/status-text.ts';
import type { StatusDocument } from '../../router/status.ts';

const document: StatusDocument = {
  version: '1.2.3',
  router: {
    name: '02:00:00:00:00:01',
    nickname: 'host1',
    incarnation: 3,
    encryption: true,
    passwords: 2,
    engine: 'native',
    mtu: 1_388,
    uptimeSeconds: 7,
    targets: [{ address: '192.0.2.2:6783', state: 'connected' }],
    connections: [
      {
        peer: '02:00:00:00:00:02',
        nickname: 'host2',
        address: '192.0.2.2:6783',
        outbound: true,
        state: 'established',
      },
      {
        peer: '',
        nickname: '',
        address: '192.0.2.3:6783',
        outbound: true,
        state: 'retrying',
        error: 'password mismatch with 192.0.2.3:6783',
        retryInSeconds: 4,
      },
    ],
    links: [
      {
        peer: '02:00:00:00:00:02',
        nickname: 'host2',
        state: 'up',
        path: 'relay',
        via: '02:00:00:00:00:03',
        encrypted: true,
        mtu: 1_388,
        rttMs: null,
        sentBytes: 2_048,
        receivedBytes: 5,
        lostFraction: 0.25,
        rekeys: 7,
      },
    ],
    peers: [
      { name: '02:00:00:00:00:01', nickname: 'host1', neighbours: ['02:00:00:00:00:02'] },
      { name: '02:00:00:00:00:02', nickname: 'host2', neighbours: [] },
    ],
    drops: {
      'connection-guess-limit': 7,
      'connection-not-weave-ts': 0,
      'index-unknown': 0,
      'tag-invalid': 2,
    },
  },
  ipam: {
    status: 'awaiting-consensus',
    detail: 'awaiting consensus (quorum 2, known 1)',
    range: '10.32.0.0/12',
    defaultSubnet: '10.32.0.0/12',
    clusterId: '',
    owned: [{ name: '02:00:00:00:00:02', nickname: 'host2', addresses: 16, fraction: 0.5, reachable: false }],
    active: 1,
    conflicts: [
      {
        address: '10.32.0.9',
        user: '02:00:00:00:00:01',
        userNickname: 'host1',
        id: 'web',
        owner: '02:00:00:00:00:02',
        ownerNickname: 'host2',
      },
    ],
    quarantine: [
      {
        from: '02:00:00:00:00:03',
        nickname: 'host3',
        addresses: 16,
        waitingFor: ['02:00:00:00:00:02'],
        restSeconds: 61,
      },
    ],
  },
  stopped: { forged_mac: 3, router_advertisement: 0 },
};

test('the overview says what matters in labelled lines', (t) => {
  const text = overviewText(document);
  for (const part of [
    'Version: 1.2.3',
    'Name: 02:00:00:00:00:01 (host1)',
    'Encryption: on, 2 passwords\n',
    'Connections: 2 (1 established, 1 retrying)',
    'Drops: tag-invalid 2\n',
    'Refused: guess-limit 7\n',
    'Stopped: forged_mac 3\n',
    'Status: awaiting consensus (quorum 2, known 1)',
    'Active: 1 address\n',
    'Conflict: 10.32.0.9 in use by "web" on this host, belongs to host2 (02:00:00:00:00:02)',
    'Quarantine: 16 addresses taken over from host3 (02:00:00:00:00:03), free in 61 s, waiting for 02:00:00:00:00:02 to acknowledge',
  ]) {
    t.true(text.includes(part), part);
  }
});

test('an allocator that nobody has asked is idle, whatever it would wait for', (t) => {
  const idle = { ...document, ipam: { ...document.ipam, status: 'idle' as const } };
  for (const text of [overviewText(idle), STATUS_PARTS.ipam.text(idle)]) {
    t.regex(text, /Status: idle\n/);
    t.notRegex(text, /awaiting/);
  }
});

test('the state of the allocator stands before what else goes on', (t) => {
  const ready = { ...document.ipam, status: 'ready' as const, detail: 'two clusters share this network' };
  t.regex(
    STATUS_PARTS.ipam.text({ ...document, ipam: ready }),
    /Status: ready: two clusters share this network\n/,
  );
});

for (const [part, lines] of [
  [
    'connections',
    [
      '->  192.0.2.2:6783  established  02:00:00:00:00:02 (host2)',
      'password mismatch with 192.0.2.3:6783; next try in 4 s',
    ],
  ],
  ['links', ['relay via 02:00:00:00:00:03', 'encrypted', 'rtt -', 'sent 2.0 KiB', 'lost 25.0 %', 'rekeys 7']],
  ['targets', ['192.0.2.2:6783  connected']],
  ['peers', ['02:00:00:00:00:01 (host1)\n   02:00:00:00:00:02 (host2)\n']],
  ['ipam', ['16 addresses (50.0 % of the range)  unreachable']],
] as const) {
  test(`status ${part} shows its rows`, (t) => {
    t.true(isStatusPart(part));
    const text = STATUS_PARTS[part].text(document, false);
    for (const line of lines) t.true(text.includes(line), `${line} in\n${text}`);
    t.notThrows(() => JSON.stringify(STATUS_PARTS[part].pick(document)));
  });
}

test('a part that is not there is not taken for one', (t) => {
  t.false(isStatusPart('weather'));
  t.false(isStatusPart('toString'));
});

test('columns line up whether or not cells are coloured', (t) => {
  const plain = table([
    ['up', 'x'],
    ['retrying', 'y'],
  ]);
  t.is(plain, 'up        x\nretrying  y\n');
  const coloured = table([
    [painted('up', 'good', true), 'x'],
    ['retrying', 'y'],
  ]);
  t.is(coloured, '\u001b[32mup\u001b[0m        x\nretrying  y\n');
});

test('fields align at the colon, counts have their noun, bytes their unit', (t) => {
  t.is(
    fields([
      ['A', '1'],
      ['Long', '2'],
    ]),
    '   A: 1\nLong: 2\n',
  );
  t.is(counted(1, 'address', 'addresses'), '1 address');
  t.is(counted(0, 'address', 'addresses'), '0 addresses');
  t.is(byteCount(0), '0 B');
  t.is(byteCount(1_536), '1.5 KiB');
  t.is(byteCount(3 * 2 ** 30), '3.0 GiB');
});
