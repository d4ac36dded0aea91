import test from 'ava';
import type { SendPlan, WritePlan } from '../../../router/engine/port.ts';
import { Plans } from '../../../router/switch/plans.ts';

function recorded(entries: number, scratchBytes: number) {
  const executed: string[] = [];
  const plans = new Plans(
    {
      send: (plan: SendPlan) => executed.push(`send ${plan.count}`),
      writeFrames: (plan: WritePlan) => executed.push(`write ${plan.count}`),
    },
    entries,
    scratchBytes,
  );
  return { plans, executed };
}

test('a full plan is executed before the next entry, the rest at the flush', (t) => {
  const { plans, executed } = recorded(2, 0);
  t.deepEqual([plans.addSend(), plans.addSend(), plans.addSend()], [0, 1, 0]);
  t.deepEqual([plans.addWrite(), plans.addWrite(), plans.addWrite()], [0, 1, 0]);
  t.deepEqual(executed, ['send 2', 'write 2']);
  plans.flush();
  plans.flush();
  t.deepEqual(executed, ['send 2', 'write 2', 'write 1', 'send 1']);
});

test('reserved bytes stay reserved while entries that use them are executed', (t) => {
  const { plans } = recorded(1, 100);
  t.is(plans.reserveSend(40), 0);
  plans.addSend();
  plans.addSend();
  t.is(plans.reserveSend(40), 40);
});

test('scratch that is used up is freed by executing what refers to it', (t) => {
  const { plans, executed } = recorded(4, 100);
  plans.reserveSend(60);
  plans.addSend();
  plans.reserveWrite(60);
  plans.addWrite();
  t.deepEqual([plans.reserveSend(60), plans.reserveWrite(60)], [0, 0]);
  t.deepEqual(executed, ['send 1', 'write 1']);
  plans.flush();
  t.deepEqual([plans.reserveSend(100), plans.reserveWrite(100)], [0, 0]);
});

test('more than the whole scratch cannot be reserved', (t) => {
  const { plans } = recorded(1, 100);
  t.deepEqual([plans.reserveSend(101), plans.reserveWrite(101)], [-1, -1]);
});
