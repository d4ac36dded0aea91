import type { BenchLab } from './bench-lab.ts';

/** Between what a figure is taken: the two hosts themselves, or a namespace behind a bridge on each. */
export const PLACES = ['host', 'pod'] as const;
export type Place = (typeof PLACES)[number];

/** Where load is generated and where it goes. */
export interface Ends {
  /** Namespace that sends. */
  readonly from: string;
  /** Namespace that receives. */
  readonly to: string;
  /** IPv4 address of the receiver on the tunnel. */
  readonly address: string;
}

/** A tunnel that is up between the two hosts of a lab. Removing the lab ends it. */
export interface Tunnel {
  /** Processes that carry its traffic; none if the kernel does. */
  readonly pids: readonly number[];
  /** Makes that place ready and returns its ends. Places are asked for in the order of {@link PLACES}, each once. */
  place(place: Place): Promise<Ends>;
}

/** One thing that is measured. */
export interface Contender {
  /** Key in results and for `--only`. */
  readonly name: string;
  readonly title: string;
  /** One line: how it was set up. */
  readonly configuration: string;
  start(lab: BenchLab): Promise<Tunnel>;
}
