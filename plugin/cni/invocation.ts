import { CNI_CODES, CniError } from './cni-error.ts';

export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const;

export type Command = (typeof COMMANDS)[number];

/** What the runtime says in the environment, checked. */
export interface Invocation {
  readonly command: Command;
  /** Whether the program was called as an IPAM plugin by another main plugin. */
  readonly program: 'weave-ts' | 'weave-ts-ipam';
  /** Empty where the command has none. */
  readonly containerId: string;
  readonly ifname: string;
  /** Path of the namespace; empty if there is none (any more). */
  readonly netns: string;
  /** CNI_ARGS; of a repeated key the last. */
  readonly args: ReadonlyMap<string, string>;
}

/** What each command cannot do without (specification, "CNI operations"). */
const REQUIRED: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  GC: [],
  STATUS: [],
  VERSION: [],
};

/** Throws {@link CniError} 4 that names every variable that is missing or bad. */
export function parseInvocation(environment: ReadonlyMap<string, string>): Invocation {
  const command = parseCommand(environment.get('CNI_COMMAND') ?? '');
  const value = (name: string): string => environment.get(name) ?? '';
  const missing = REQUIRED[command].filter((name) => value(name) === '');
  if (missing.length > 0) {
    throw new CniError(CNI_CODES.badEnvironment, `${command} needs ${missing.join(', ')} in the environment`);
  }
  checkContainerId(value('CNI_CONTAINERID'));
  checkInterfaceName(value('CNI_IFNAME'));
  if (command === 'ADD' || command === 'CHECK') checkNamespace(value('CNI_NETNS'));
  return {
    command,
    program: value('WEAVE_TS_PROGRAM') === 'weave-ts-ipam' ? 'weave-ts-ipam' : 'weave-ts',
    containerId: value('CNI_CONTAINERID'),
    ifname: value('CNI_IFNAME'),
    netns: value('CNI_NETNS'),
    args: parseArguments(value('CNI_ARGS')),
  };
}

function parseCommand(text: string): Command {
  const command = COMMANDS.find((known) => known === text);
  if (command !== undefined) return command;
  throw new CniError(
    CNI_CODES.badEnvironment,
    `CNI_COMMAND "${text}" is unknown: it is one of ${COMMANDS.join(', ')}`,
  );
}

/** The form that the specification gives for container ids and network names. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

function checkContainerId(id: string): void {
  if (id === '' || IDENTIFIER.test(id)) return;
  throw new CniError(
    CNI_CODES.badEnvironment,
    `CNI_CONTAINERID "${id}" is not letters, digits, "_", "." and "-", beginning with a letter or digit`,
  );
}

/** As the kernel and the official skeleton demand it; quotes and the like are refused too, as no tool carries them. */
function checkInterfaceName(name: string): void {
  if (name === '' || (/^[^\s/:%"'\\#]{1,15}$/.test(name) && name !== '.' && name !== '..')) return;
  throw new CniError(
    CNI_CODES.badEnvironment,
    `CNI_IFNAME "${name}" is not an interface name of at most 15 characters`,
  );
}

/** A name or number would be looked for among those of `ip netns` and the processes, and may lead to another's. */
function checkNamespace(path: string): void {
  if (path.startsWith('/')) return;
  throw new CniError(
    CNI_CODES.badEnvironment,
    `CNI_NETNS "${path}" is not the path of a network namespace, which begins with "/"`,
  );
}

/** KEY=VALUE;KEY=VALUE in any order. What has no "=" is passed over, as runtimes add keys of their own. */
function parseArguments(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(';')) {
    const at = pair.indexOf('=');
    if (at > 0) args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return args;
}
