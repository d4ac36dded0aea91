import { TAKEN, type Target } from './target.ts';

/** Targets with bugs that the harness has to find. */
export function allTargets(): Target[] {
  let sum = 0;
  return [
    { name: 'fine', shape: 'bytes', samples: [Uint8Array.of(1)], weight: 1, run: () => TAKEN },
    {
      name: 'loops-for-ever',
      shape: 'bytes',
      samples: [Uint8Array.of(1, 2, 3)],
      weight: 1,
      run: (input) => {
        sum += input.length;
        while (sum > 100);
        return TAKEN;
      },
      reset: () => void (sum = 0),
    },
    {
      name: 'never-answers',
      shape: 'bytes',
      samples: [Uint8Array.of(1)],
      weight: 1,
      run: (input) => (input[0] === 1 ? TAKEN : new Promise<string>(() => undefined)),
    },
    {
      name: 'keeps-memory',
      shape: 'bytes',
      samples: [Uint8Array.of(1)],
      weight: 1,
      // More than other tests in the same process may give back meanwhile.
      run: () => (kept.push(Buffer.alloc(60_000, 1)), TAKEN),
    },
  ];
}

const kept: Uint8Array[] = [];
