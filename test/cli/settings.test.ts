import { dirname, join } from 'node:path';
import test from 'ava';
import { BadValue } from '../../cli/exit.ts';
import { checkSettings, peerValue } from '../../cli/settings.ts';
import { standardFlags } from './standard-flags.ts';

const surroundings = { hostName: 'here', socket: '/run/weave-ts/api.sock', passwordFile: undefined };

test('standard flags give a full set of settings', (t) => {
  const settings = checkSettings(standardFlags, ['192.0.2.1'], surroundings);
  t.is(settings.nickname, 'here');
  t.is(settings.range, '10.32.0.0/12');
  t.is(settings.defaultSubnet, '10.32.0.0/12');
  t.deepEqual(settings.peers, ['192.0.2.1']);
  t.is(settings.mtu, undefined);
});

test('paths are those of the directory in which the command was given', (t) => {
  const relative = { hostName: 'here', socket: 'api.sock', passwordFile: '../password' };
  const settings = checkSettings({ ...standardFlags, stateDir: 'state' }, [], relative);
  t.is(settings.socket, join(process.cwd(), 'api.sock'));
  t.is(settings.passwordFile, join(dirname(process.cwd()), 'password'));
  t.is(settings.stateDir, join(process.cwd(), 'state'));
});

for (const [flags, pattern] of [
  [{ ipallocRange: '10.32.0.0' }, /10\.32\.0\.0/],
  [{ ipallocRange: '10.32.0.0/31' }, /\/30/],
  [{ ipallocDefaultSubnet: '10.64.0.0/16' }, /10\.64\.0\.0\/16/],
  [{ ipallocDefaultSubnet: '10.32.0.0/31' }, /10\.32\.0\.0\/31/],
  [{ name: 'bob' }, /--name "bob"/],
  [{ name: '00:00:00:00:00:00' }, /--name "00:00:00:00:00:00" is all zero/],
  [{ name: '::' }, /--name "::" is all zero/],
  [{ name: '03:00:00:00:00:01' }, /--name "03:00:00:00:00:01" stands for a group/],
  [{ stateDir: '' }, /--state-dir "" is not a path/],
  [{ nickname: '' }, /--nickname/],
  [{ nickname: 'a\nb' }, /--nickname/],
  [{ host: 'host' }, /--host "host"/],
  [{ port: '65536' }, /--port "65536".*65535/],
  [{ port: '-1' }, /--port/],
  [{ port: '6783x' }, /--port/],
  [{ connLimit: 'many' }, /--conn-limit/],
  [{ mtu: '1279' }, /--mtu.*1280/],
  [{ bridge: 'much-too-long' }, /--bridge/],
  [{ bridge: 'a/b' }, /--bridge/],
  [{ engine: 'warp' }, /--engine "warp".*native/],
  [{ workers: '0' }, /--workers "0" is not a whole number from 1 to 16/],
  [{ workers: 'abc' }, /--workers "abc" is not a whole number from 1 to 16/],
  [{ workers: '99' }, /--workers "99" is not a whole number from 1 to 16/],
  [{ workers: '2', engine: 'portable' }, /--workers "2" needs the native engine/],
  [{ logLevel: 'loud' }, /--log-level/],
  [{ trustedSubnets: '10.0.0.0/8,x' }, /--trusted-subnets "x"/],
] as const) {
  test(`${JSON.stringify(flags)} is refused with the value and what would be right`, (t) => {
    const error = t.throws(() => checkSettings({ ...standardFlags, ...flags }, [], surroundings), {
      instanceOf: BadValue,
    });
    t.regex(error.message, pattern);
    t.false(error.message.includes('\n'));
  });
}

for (const peer of [
  'host',
  'host.example:6783',
  '192.0.2.1',
  '192.0.2.1:1',
  '1host.example',
  '::1',
  '2001:db8::1',
  '[2001:db8::1]',
  '[2001:db8::1]:7',
]) {
  test(`"${peer}" is accepted as a peer`, (t) => {
    t.is(peerValue(peer), peer);
  });
}

for (const peer of [
  '1.2.3',
  '999.1.1.1',
  '7',
  '1.2.3:80',
  '[1:2]',
  '1:2:3',
  '',
  'a b',
  'host:',
  'host:0',
  'host:65536',
  '[2001:db8::1',
  'host/x',
  '[host]:1',
]) {
  test(`"${peer}" is refused as a peer`, (t) => {
    t.throws(() => peerValue(peer), { instanceOf: BadValue });
  });
}
