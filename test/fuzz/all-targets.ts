import { channelTargets } from './channel-targets.ts';
import { codecTargets } from './codec-targets.ts';
import { machineTargets } from './machine-targets.ts';
import { nativeTargets } from './native-targets.ts';
import type { Target } from './target.ts';
import { textTargets } from './text-targets.ts';

/** Everything that reads bytes or text from outside. */
export function allTargets(): Target[] {
  return [...codecTargets(), ...textTargets(), ...channelTargets(), ...machineTargets(), ...nativeTargets()];
}
