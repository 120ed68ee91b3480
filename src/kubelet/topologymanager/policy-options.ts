/** `topologyManagerPolicyOptions`, each by its stage in v1.36: both are stable. */
export interface TopologyPolicyOptions {
  /** Of sets of as many nodes, the one whose nodes are nearest to each other. */
  readonly preferClosestNumaNodes: boolean;
  /** Beyond as many nodes the kubelet does not start. */
  readonly maxAllowableNumaNodes: number;
}
/** Sets of nodes are looked at one by one: their number doubles with each node. */
const MAX_NODES = 8;

/** Throws an Error in upstream's words for what cannot be chosen. */
export function topologyPolicyOptions(options: Readonly<Record<string, string>>): TopologyPolicyOptions {
  const out = { preferClosestNumaNodes: false, maxAllowableNumaNodes: MAX_NODES };
  for (const [name, value] of Object.entries(options)) {
    if (name === 'prefer-closest-numa-nodes') out.preferClosestNumaNodes = parseBool(name, value);
    else if (name === 'max-allowable-numa-nodes') out.maxAllowableNumaNodes = parseNodes(name, value);
    else throw new Error(`unknown Topology Manager Policy option: "${name}"`);
  }
  return out;
}
function parseNodes(name: string, value: string): number {
  if (!/^[+-]?\d+$/.test(value)) throw new Error(`unable to convert policy option to integer "${name}": strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (Number(value) < MAX_NODES) throw new Error(`the minimum value of "${name}" should not be less than ${MAX_NODES}`);
  return Number(value);
}
/** The value of an option that is on or off, in every spelling that Go takes. Throws an Error for any other. */
export function parseBool(name: string, value: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false;
  throw new Error(`bad value for option "${name}": strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}
