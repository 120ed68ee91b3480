/** The kernel's routes to the Pods of other nodes, as a plan has them: by the nodes' addresses, or by the VXLAN link. */
import { logger } from '#base/logger.ts';
import { IpError, runIp } from './ip-command.ts';
import { ROUTE_PROTOCOL, routeArguments, routeChanges, type KernelRoute, type PodNetwork, type RouteChange, type RoutePlan } from './route-plan.ts';
import { VxlanLink, type VxlanLinkOptions } from './vxlan-link.ts';
import { routesByLink } from './vxlan-plan.ts';

const log = logger('routes');

export interface KernelRoutesOptions extends VxlanLinkOptions {
  readonly podNetwork: PodNetwork;
  /** Told of each change made to the host, before it is made, so that it can be undone. */
  recordChange(kind: 'route' | 'link', id: string): void | Promise<void>;
  /** Told when a change is undone. */
  forgetChange(kind: 'route' | 'link', id: string): void | Promise<void>;
}

/** Arguments of `ip route delete`: the change's name in the journal. */
const idOf = (range: string): string => `${range} proto ${ROUTE_PROTOCOL}`;

export class KernelRoutes {
  readonly #options: KernelRoutesOptions;
  readonly #link: VxlanLink;
  /** Ranges in the journal, as far as this process wrote them. */
  readonly #recorded = new Set<string>();

  constructor(options: KernelRoutesOptions) {
    this.#options = options;
    this.#link = new VxlanLink(options);
  }
  /** Resolves with what the kernel says of each range whose route it refused. */
  async sync(plan: RoutePlan, anew: boolean, signal: AbortSignal): Promise<Map<string, string>> {
    const { podNetwork, vxlanLink } = this.#options;
    if (podNetwork === 'routes' || plan.routes.size === 0) {
      await this.#link.remove(signal);
      return await this.#syncRoutes(plan, anew, signal);
    }
    try {
      await this.#link.sync(plan, signal);
    } catch (err) {
      if (!(err instanceof IpError)) throw err;
      return new Map(Array.from(plan.routes.keys(), (range) => [range, `making the link ${vxlanLink}: ${err.message}`]));
    }
    return await this.#syncRoutes(routesByLink(plan, vxlanLink), anew, signal);
  }

  async #syncRoutes(wanted: Pick<RoutePlan, 'routes'>, anew: boolean, signal: AbortSignal): Promise<Map<string, string>> {
    const { netns, clusterCIDR } = this.#options;
    const shown = await runIp(['-4', '-json', 'route', 'show', 'proto', String(ROUTE_PROTOCOL)], { netns, signal });
    const refused = new Map<string, string>();
    for (const change of routeChanges(wanted, JSON.parse(shown.trim() || '[]') as KernelRoute[], clusterCIDR, anew)) {
      if (change.verb !== 'delete') await this.#options.recordChange('route', idOf(change.range));
      this.#recorded.add(change.range);
      const answer = await this.#make(change, signal);
      if (answer !== undefined) refused.set(change.range, answer);
    }
    for (const range of this.#recorded) {
      if (wanted.routes.has(range)) continue;
      await this.#options.forgetChange('route', idOf(range));
      this.#recorded.delete(range);
    }
    return refused;
  }
  async #make(change: RouteChange, signal: AbortSignal): Promise<string | undefined> {
    try {
      await runIp(routeArguments(change), { netns: this.#options.netns, signal });
      log.debug(change, 'route changed');
      return undefined;
    } catch (err) {
      if (!(err instanceof IpError)) throw err;
      if (change.verb !== 'delete') return err.message;
      // It went with its link meanwhile.
      if (err.message === 'No such process') return undefined;
      throw err;
    }
  }
}
