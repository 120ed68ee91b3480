/** Runs the plugins at their extension points, in the order they were given. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Nominator } from '../queue/nominator.ts';
import { CycleState } from './cycle-state.ts';
import type { EventInterest } from './events.ts';
import type { NodeInfo } from './node-info.ts';
import type { NodeStatuses, Plugin, PostFilterResult, WeightedPlugin } from './plugin.ts';
import type { PodInfo } from './pod-info.ts';
import { isRejected, messageOf, unresolvable, type Status } from './status.ts';

type With<K extends keyof Plugin> = Plugin & Required<Pick<Plugin, K>>;
interface Scorer {
  readonly plugin: With<'score'>;
  readonly weight: number;
}

export interface PreFilterOutcome {
  readonly status?: Status | undefined;
  /** Absent: all nodes. */
  readonly nodeNames?: ReadonlySet<string> | undefined;
  /** Names of the plugins that have narrowed the nodes. */
  readonly narrowedBy: ReadonlySet<string>;
}

export class Framework {
  readonly #plugins: readonly Plugin[];
  readonly #filters: readonly With<'filter'>[];
  readonly #scorers: readonly Scorer[];
  readonly #nominator: Nominator;

  constructor(plugins: readonly WeightedPlugin[], nominator: Nominator) {
    this.#plugins = plugins.map((p) => p.plugin);
    this.#filters = this.#plugins.filter((p): p is With<'filter'> => p.filter !== undefined);
    this.#scorers = plugins.filter((p): p is { plugin: With<'score'>; weight: number } => p.plugin.score !== undefined && p.weight > 0);
    this.#nominator = nominator;
  }
  /** What each plugin wants to hear of; those without a list want everything and are not in the map. */
  interests(): ReadonlyMap<string, readonly EventInterest[]> {
    return new Map(this.#plugins.flatMap((p) => (p.events ? [[p.name, p.events()] as const] : [])));
  }
  preEnqueue(pod: Pod): Status | undefined {
    for (const plugin of this.#plugins) {
      const status = plugin.preEnqueue?.(pod);
      if (status) return status;
    }
    return undefined;
  }

  preFilter(state: CycleState, info: PodInfo, nodes: readonly NodeInfo[]): PreFilterOutcome {
    let refused: Status | undefined;
    let nodeNames: ReadonlySet<string> | undefined;
    const narrowedBy = new Set<string>();
    for (const plugin of this.#plugins) {
      const result = plugin.preFilter?.(state, info, nodes);
      if (!result) continue;
      const { status } = result;
      if (status?.code === 'Skip') state.skipFilter.add(plugin.name);
      else if (status?.code === 'Unschedulable') refused = status;
      else if (status) return { status: within(`running PreFilter plugin ${JSON.stringify(plugin.name)}`, status), narrowedBy };
      if (!result.nodeNames) continue;
      narrowedBy.add(plugin.name);
      nodeNames = nodeNames ? nodeNames.intersection(result.nodeNames) : result.nodeNames;
      if (nodeNames.size === 0) {
        const names = [...narrowedBy].toSorted();
        const reason = names.length === 1 ? `node(s) didn't satisfy plugin ${names[0]}` : `node(s) didn't satisfy plugin(s) [${names.join(' ')}] simultaneously`;
        return { status: unresolvable('', reason), narrowedBy };
      }
    }
    return { status: refused, nodeNames, narrowedBy };
  }
  /** A function that runs the filters which have something to say in this cycle, on one node. */
  filters(state: CycleState, info: PodInfo): (node: NodeInfo) => Status | undefined {
    const active = this.#filters.filter((p) => !state.skipFilter.has(p.name));
    const run = (s: CycleState, node: NodeInfo): Status | undefined => {
      for (const plugin of active) {
        const status = plugin.filter(s, info, node);
        if (status) return within(`running ${JSON.stringify(plugin.name)} filter plugin`, status);
      }
      return undefined;
    };
    if (this.#nominator.empty) return (node) => run(state, node);
    return (node) => {
      const nominated = this.#nominator.podsOn(node.name).filter((p) => p.priority >= info.priority && p.uid !== info.uid);
      if (nominated.length === 0) return run(state, node);
      // With them, since they will most likely be there; and without them, since what needs them must not count on it.
      const [withThem, crowded] = [state.clone(), node.clone()];
      for (const pod of nominated) this.addPod(withThem, info, pod, crowded);
      return run(withThem, crowded) ?? run(state, node);
    };
  }
  addPod(state: CycleState, info: PodInfo, added: PodInfo, node: NodeInfo): void {
    node.add(added);
    for (const plugin of this.#plugins) if (!state.skipFilter.has(plugin.name)) plugin.addPod?.(state, info, added, node);
  }
  removePod(state: CycleState, info: PodInfo, removed: PodInfo, node: NodeInfo): void {
    node.remove(removed.uid);
    for (const plugin of this.#plugins) if (!state.skipFilter.has(plugin.name)) plugin.removePod?.(state, info, removed, node);
  }

  /** Messages of those that could not help are joined; the first that made a nomination, or broke, ends the run. */
  postFilter(state: CycleState, info: PodInfo, statuses: NodeStatuses): PostFilterResult & { readonly message: string } {
    const messages: string[] = [];
    let nominatedNodeName: string | undefined;
    for (const plugin of this.#plugins) {
      const result = plugin.postFilter?.(state, info, statuses);
      if (!result) continue;
      if (!result.status) return { ...result, message: '' };
      if (!isRejected(result.status)) return { status: result.status, message: messageOf(result.status) };
      if (result.nominatedNodeName !== undefined) nominatedNodeName ??= result.nominatedNodeName;
      if (result.status.reasons.length > 0) messages.push(messageOf(result.status));
    }
    return { status: unresolvable('', ...messages), nominatedNodeName, message: messages.join(', ') };
  }

  /** The weighted sum of each node's scores. */
  score(state: CycleState, info: PodInfo, nodes: readonly NodeInfo[]): number[] {
    const totals = Array.from(nodes, () => 0);
    for (const { plugin } of this.#scorers) {
      if (plugin.preScore?.(state, info, nodes)?.code === 'Skip') state.skipScore.add(plugin.name);
    }
    const scores = Array.from(nodes, () => 0);
    for (const { plugin, weight } of this.#scorers) {
      if (state.skipScore.has(plugin.name)) continue;
      for (let i = 0; i < nodes.length; i++) scores[i] = plugin.score(state, info, nodes[i]!);
      plugin.normalizeScores?.(state, info, nodes, scores);
      for (let i = 0; i < nodes.length; i++) totals[i]! += scores[i]! * weight;
    }
    return totals;
  }

  reserve(state: CycleState, info: PodInfo, nodeName: string): Status | undefined {
    for (const plugin of this.#plugins) {
      const status = plugin.reserve?.(state, info, nodeName);
      if (status) return within(`running Reserve plugin ${JSON.stringify(plugin.name)}`, status);
    }
    return undefined;
  }
  /** In reverse order. */
  unreserve(state: CycleState, info: PodInfo, nodeName: string): void {
    for (const plugin of this.#plugins.toReversed()) plugin.unreserve?.(state, info, nodeName);
  }
  needsPreBind(state: CycleState, info: PodInfo, nodeName: string): boolean {
    return this.#plugins.some((p) => p.preBind && (p.needsPreBind?.(state, info, nodeName) ?? true));
  }
  async preBind(state: CycleState, info: PodInfo, nodeName: string, signal: AbortSignal): Promise<Status | undefined> {
    for (const plugin of this.#plugins) {
      const status = await plugin.preBind?.(state, info, nodeName, signal);
      if (status) return within(`running PreBind plugin ${JSON.stringify(plugin.name)}`, status);
    }
    return undefined;
  }
}

/** Says of something that broke where it did. */
function within(where: string, status: Status): Status {
  return status.code === 'Error' ? { ...status, reasons: [`${where}: ${messageOf(status)}`] } : status;
}
