import type { ControlStatus } from '../../router/control-status.ts';
import type { SimMesh } from './sim-mesh.ts';
import type { SimNode } from './sim-node.ts';

/** For both mailboxes between the threads, there and back. */
const STATUS_TAKES = 20;

/**
 * What keeps the mesh from being whole, as sentences: every living node sees the same mesh, has a direct link that is up
 * to every other (above the limit of a full mesh to its neighbours), and knows one owner for every address. Takes some
 * virtual ms.
 */
export function unconverged(mesh: SimMesh, addresses: number): string[] {
  const views = mesh.living.flatMap((node) => viewProblem(mesh, node));
  if (views.length > 0) return views;
  // Cheap to look at; what counts is what the nodes say below.
  const early = missingLinks(mesh);
  if (early.length > 0) return early;
  const open = mesh.addresses.open;
  if (open.length > 0) return [`requests without an answer: ${open.join(', ')}`];
  return statusProblems(mesh, addresses);
}

/** Of the first node that has any: a status is dear, and most often it is asked for too early. */
function statusProblems(mesh: SimMesh, addresses: number): string[] {
  const first = statusOf(mesh, mesh.living[0]!);
  for (const node of mesh.living) {
    const status = node === mesh.living[0] ? first : statusOf(mesh, node);
    if (status === undefined) return [`node ${node.number} does not answer`];
    const problems = [
      ...linkProblems(mesh, node, status),
      ...ownerProblems(node, status, first ?? status, addresses),
    ];
    if (problems.length > 0) return problems;
  }
  return [];
}

function viewProblem(mesh: SimMesh, node: SimNode): string[] {
  const want = mesh.living.length;
  const names = node.routes?.names ?? [];
  const missing = mesh.living.filter(({ name }) => !names.includes(name)).map(({ number }) => number);
  if (missing.length > 0) return [`node ${node.number} does not see ${missing.join(', ')}`];
  if (names.length > want) return [`node ${node.number} sees ${names.length} nodes, not ${want}`];
  const { adjacency } = node.routes!;
  if (!mesh.discovery)
    return agree(adjacency, mesh.living[0]!.routes?.adjacency)
      ? []
      : [`node ${node.number} sees other connections`];
  if (adjacency.length === want * (want - 1)) return [];
  return [`node ${node.number} sees ${adjacency.length / 2} connections, not ${(want * (want - 1)) / 2}`];
}

/** The peers that the mesh asks for a link to. */
function askedFor({ living, fullMeshLimit }: SimMesh, node: SimNode): SimNode[] {
  const others = living.filter((peer) => peer !== node);
  if (living.length <= fullMeshLimit) return others;
  const { names, adjacency, adjacencyStart, self } = node.routes!;
  const neighbours = adjacency.subarray(adjacencyStart[self], adjacencyStart[self + 1]);
  const wanted = new Set(Array.from(neighbours, (position) => names[position]!));
  return others.filter(({ name }) => wanted.has(name));
}

/** Links that the mesh asks for, by what each node sees of it now, and that are not up. */
export function missingLinks(mesh: SimMesh): string[] {
  return mesh.living.flatMap((node) => {
    const missing = askedFor(mesh, node).filter((peer) => !node.up.has(peer.name));
    if (missing.length === 0) return [];
    return [`node ${node.number} has no link to ${missing.map(({ number }) => number).join(', ')}`];
  });
}

function statusOf({ clock }: SimMesh, node: SimNode): ControlStatus | undefined {
  let answer: ControlStatus | undefined;
  node.askStatus((status) => (answer = status));
  clock.runWhileNot(() => answer !== undefined, STATUS_TAKES, 1);
  return answer;
}

function linkProblems(mesh: SimMesh, node: SimNode, { router }: ControlStatus): string[] {
  const links = new Map(router.links.map((link) => [link.peer, link]));
  return askedFor(mesh, node).flatMap((peer) => {
    const link = links.get(peer.name);
    const isGood = link?.state === 'up' && link.path === 'direct' && link.error === undefined;
    return isGood ? [] : [`node ${node.number} to ${peer.number}: ${describe(link)}`];
  });
}

function describe(link: ControlStatus['router']['links'][number] | undefined): string {
  if (link === undefined) return 'no link';
  return `link ${link.state}, ${link.path}${link.error === undefined ? '' : `, ${link.error}`}`;
}

function ownerProblems(
  node: SimNode,
  { ipam }: ControlStatus,
  first: ControlStatus,
  addresses: number,
): string[] {
  const total = ipam.owned.reduce((sum, owner) => sum + owner.addresses, 0);
  const problems: string[] = [];
  if (total !== addresses) problems.push(`node ${node.number} knows owners of ${total} addresses`);
  if (ipam.conflicts.length > 0)
    problems.push(`node ${node.number} lost ${ipam.conflicts.map(({ address }) => address).join(', ')}`);
  if (ownersOf(ipam) !== ownersOf(first.ipam)) problems.push(`node ${node.number} knows other owners`);
  const strangers = ipam.owned.filter(({ reachable }) => !reachable).map(({ name }) => name);
  if (strangers.length > 0) problems.push(`node ${node.number} cannot reach owners ${strangers.join(', ')}`);
  return problems;
}

function ownersOf({ clusterId, owned }: ControlStatus['ipam']): string {
  return JSON.stringify([clusterId, owned.map(({ name, addresses }) => [name, addresses])]);
}

function agree(a: ArrayLike<number>, b: ArrayLike<number> | undefined): boolean {
  return a.length === b?.length && Array.from(a).every((value, i) => value === b[i]);
}
