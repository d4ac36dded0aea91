import { EventEmitter } from 'node:events';
import test from 'ava';
import { HangUps } from '../../cli/hang-ups.ts';

test('signals that come before they can be obeyed are obeyed once, later ones each', (t) => {
  const signals = new EventEmitter();
  const hangUps = new HangUps(signals);
  t.true(signals.emit('SIGHUP'), 'there is a handler, so the process lives on');
  signals.emit('SIGHUP');
  let acts = 0;
  hangUps.obey(() => acts++);
  t.is(acts, 1);
  signals.emit('SIGHUP');
  signals.emit('SIGHUP');
  t.is(acts, 3);
});

test('without a signal nothing is done', (t) => {
  let acts = 0;
  new HangUps(new EventEmitter()).obey(() => acts++);
  t.is(acts, 0);
});
