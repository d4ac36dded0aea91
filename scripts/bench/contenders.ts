import type { Contender } from './contender.ts';
import { fastd, fastdVariants } from './contenders/fastd.ts';
import { bare, vxlan } from './contenders/kernel.ts';
import { nebula, nebulaVariants } from './contenders/nebula.ts';
import { tinc, tincVariants } from './contenders/tinc.ts';
import { weaveNative, weavePlain, weavePortable } from './contenders/weave-ts.ts';
import { wireguardGo } from './contenders/wireguard-go.ts';

/** All that is compared, in the order of tables and charts. */
export const CONTENDERS: readonly Contender[] = [
  bare,
  vxlan,
  weaveNative,
  weavePlain,
  weavePortable,
  wireguardGo,
  nebula,
  tinc,
  fastd,
];

/** What `--quick` measures. */
export const QUICK: readonly Contender[] = [bare, vxlan, weaveNative, weavePortable, wireguardGo, fastd];

/** Settings of the rivals among which their best configuration was chosen: `--tune`. */
export const VARIANTS: readonly Contender[] = [...nebulaVariants, ...tincVariants, ...fastdVariants];
