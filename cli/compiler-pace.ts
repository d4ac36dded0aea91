import { setFlagsFromString } from 'node:v8';

/** Bytes of bytecode that a function runs before V8 optimizes it; its own choice is a quarter of that. */
const INTERRUPT_BUDGET = 264 * 1_024;

/**
 * Lets V8 optimize later, in all threads that start from now on. A daemon that joins a mesh runs much code a few hundred
 * times and then never again: optimizing that took a quarter of its CPU (docs/adr/0023-many-daemons-on-few-cores.md). What
 * moves packets is optimized within a second of traffic all the same.
 */
export function optimizeLater(): void {
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`);
}
