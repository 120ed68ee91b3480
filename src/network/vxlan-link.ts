/** One node's end of the VXLAN network, in the kernel: made, kept right, taken away. What it must be is `vxlan-plan.ts`'s to say. */
import { logger } from '#base/logger.ts';
import { IpError, runBridge, runIp, type IpOptions } from './ip-command.ts';
import type { RoutePlace, RoutePlan } from './route-plan.ts';
import { vxlanCommands, VXLAN_OVERHEAD_BYTES, vxlanLinkOf, type KernelLink, type KernelVxlan } from './vxlan-plan.ts';

const log = logger('routes');

export interface VxlanLinkOptions extends RoutePlace {
  /** Name of the link, of this node alone. */
  readonly vxlanLink: string;
  recordChange(kind: 'link', id: string): void | Promise<void>;
  forgetChange(kind: 'link', id: string): void | Promise<void>;
  /** Path of a network namespace that link and routes go to. Default: the process's own. */
  readonly netns?: string | undefined;
}

async function asked<T>(run: typeof runIp, args: readonly string[], options: IpOptions): Promise<readonly T[]> {
  return JSON.parse((await run(['-json', ...args], options)).trim() || '[]') as readonly T[];
}
/** MTU of the interface that has an IPv4 address; undefined where none has. */
async function mtuOf(address: string, options: IpOptions): Promise<number | undefined> {
  const links = await asked<{ readonly mtu: number; readonly addr_info: readonly { readonly local: string }[] }>(runIp, ['-4', 'address', 'show', 'to', address], options);
  return links.find((link) => link.addr_info.some((a) => a.local === address))?.mtu;
}
/** The MTU that Pods must have on a node whose packets are encapsulated; undefined where no interface has the node's address. */
export async function vxlanPodMtu(nodeIP: string, options: IpOptions = {}): Promise<number | undefined> {
  const mtu = await mtuOf(nodeIP, options);
  return mtu === undefined ? undefined : mtu - VXLAN_OVERHEAD_BYTES;
}

export class VxlanLink {
  readonly #options: VxlanLinkOptions;
  #isGone = false;

  constructor(options: VxlanLinkOptions) {
    this.#options = options;
  }
  /** Makes the link reach the nodes of the plan and no others. Rejects with {@link IpError} where the kernel refuses, or the node's address is nowhere. */
  async sync(plan: Pick<RoutePlan, 'routes'>, signal: AbortSignal): Promise<void> {
    const { nodeIP, vxlanLink: name, netns } = this.#options;
    const mtu = await mtuOf(nodeIP, { netns, signal });
    if (mtu === undefined) throw new IpError(`no interface has the address ${nodeIP} of this node`);
    await this.#options.recordChange('link', name);
    this.#isGone = false;
    for (const { tool, args } of vxlanCommands(vxlanLinkOf(this.#options, name, mtu), plan, await this.#found(signal))) {
      await (tool === 'ip' ? runIp : runBridge)(args, { netns, signal });
      log.debug({ tool, args }, 'vxlan link changed');
    }
  }
  /** Takes the link away, and with it all that leads by it. Idempotent. */
  async remove(signal: AbortSignal): Promise<void> {
    if (this.#isGone) return;
    const { vxlanLink: name, netns, forgetChange } = this.#options;
    if (await this.#link(signal)) await runIp(['link', 'delete', name], { netns, signal });
    await forgetChange('link', name);
    this.#isGone = true;
  }

  async #found(signal: AbortSignal): Promise<KernelVxlan> {
    const { vxlanLink: name, netns } = this.#options;
    const link = await this.#link(signal);
    if (!link) return { link, neighbours: [], fdb: [] };
    const neighbours = await asked<KernelVxlan['neighbours'][number]>(runIp, ['-4', 'neighbour', 'show', 'dev', name, 'nud', 'permanent'], { netns, signal });
    const fdb = await asked<KernelVxlan['fdb'][number]>(runBridge, ['fdb', 'show', 'dev', name], { netns, signal });
    return { link, neighbours, fdb };
  }
  async #link(signal: AbortSignal): Promise<KernelLink | undefined> {
    const { vxlanLink: name, netns } = this.#options;
    try {
      return (await asked<KernelLink>(runIp, ['-details', 'address', 'show', 'dev', name], { netns, signal }))[0];
    } catch (err) {
      if (err instanceof IpError && /does not exist/.test(err.message)) return undefined;
      throw err;
    }
  }
}
