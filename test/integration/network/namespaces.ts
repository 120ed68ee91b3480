/** Network namespaces that stand for machines on one network: free ports, free ranges, and links to pull out. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { applyNft } from '#base/nft.ts';

const exec = promisify(execFile);

export interface Machine {
  /** `/run/netns/…`. */
  readonly netns: string;
  readonly ip: string;
  /** Runs a program in it and gives its output. */
  run(file: string, ...args: string[]): Promise<string>;
}
export interface Machines extends AsyncDisposable {
  readonly left: Machine;
  readonly right: Machine;
}

function inNamespace(name: string, ip: string): Machine {
  const netns = `/run/netns/${name}`;
  return { netns, ip, run: async (file, ...args) => (await exec('nsenter', [`--net=${netns}`, file, ...args])).stdout };
}

/** A Pod of a machine as the bridge plugin makes it: a namespace of its own on the machine's bridge, whose address is the first of the range, and which comes with the first Pod. */
export async function addPod(machine: Machine, bridge: string, gateway: string, ip: string, mtu = 1500): Promise<Machine & AsyncDisposable> {
  const name = `podyard-it-${process.pid}-${ip}`;
  const link = `p${ip.replaceAll('.', '')}`;
  await exec('ip', ['netns', 'add', name]);
  const pod = inNamespace(name, ip);
  const bridged = await machine.run('ip', 'link', 'show', bridge).then(() => true, () => false);
  const addBridge = bridged ? [] : [`link add ${bridge} type bridge`, `address add ${gateway}/24 dev ${bridge}`, `link set ${bridge} up`];
  for (const command of [...addBridge, `link add ${link} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${name}`, `link set ${link} master ${bridge} up`]) await machine.run('ip', ...command.split(' '));
  for (const command of [`address add ${ip}/24 dev eth0`, 'link set lo up', 'link set eth0 up', `route add default via ${gateway}`]) await pod.run('ip', ...command.split(' '));
  return { ...pod, [Symbol.asyncDispose]: async () => void (await exec('ip', ['netns', 'delete', name]).catch(() => {})) };
}

/** Namespaces of these names; what is made in them goes when they do. */
async function makeNamespaces<T>(names: readonly string[], fill: () => Promise<T>): Promise<T & AsyncDisposable> {
  // A link goes with the namespaces that hold its ends.
  const remove = async (): Promise<void> => {
    for (const name of names) await exec('ip', ['netns', 'delete', name]).catch(() => {});
  };
  try {
    for (const name of names) await exec('ip', ['netns', 'add', name]);
    return { ...(await fill()), [Symbol.asyncDispose]: remove };
  } catch (err) {
    await remove();
    throw err;
  }
}
const ownName = (what: string): string => `podyard-it-${process.pid}-${what}`;
/** One end of a link, with its address. */
async function raise({ run }: Machine, link: string, address: string): Promise<void> {
  await run('ip', 'link', 'set', 'lo', 'up');
  await run('ip', 'address', 'add', `${address}/24`, 'dev', link);
  await run('ip', 'link', 'set', link, 'up');
}

/** Two machines, `172.30.0.1` and `172.30.0.2`, joined by their `eth0`. */
export function makeMachines(): Promise<Machines> {
  const names = [ownName('l'), ownName('r')] as const;
  return makeNamespaces(names, async () => {
    const [left, right] = [inNamespace(names[0], '172.30.0.1'), inNamespace(names[1], '172.30.0.2')];
    await exec('ip', ['link', 'add', 'eth0', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'eth0', 'netns', names[1]]);
    for (const machine of [left, right]) await raise(machine, 'eth0', machine.ip);
    return { left, right };
  });
}

export interface RemoteMachines extends Machines {
  readonly stranger: Machine;
}
/** Three machines on networks of their own, `172.30.1.2`, `172.30.2.2` and `172.30.3.2`, and a router between them that drops what has other addresses. */
export function makeRemoteMachines(): Promise<RemoteMachines> {
  const router = inNamespace(ownName('router'), '');
  const machines = (['left', 'right', 'stranger'] as const).map((side, i) => ({ side, name: ownName(side), net: `172.30.${i + 1}` }));
  return makeNamespaces([ownName('router'), ...machines.map((m) => m.name)], async () => {
    await router.run('sysctl', '-qw', 'net/ipv4/ip_forward=1');
    await applyNft('table ip cloud {\n chain forward {\n type filter hook forward priority 0; policy drop;\n ip saddr 172.30.0.0/16 ip daddr 172.30.0.0/16 accept\n }\n}\n', { netns: router.netns });
    for (const { side, name, net } of machines) {
      const machine = inNamespace(name, `${net}.2`);
      await exec('ip', ['link', 'add', side, 'netns', ownName('router'), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
      await raise(router, side, `${net}.1`);
      await raise(machine, 'eth0', machine.ip);
      await machine.run('ip', 'route', 'add', 'default', 'via', `${net}.1`);
    }
    const [left, right, stranger] = machines.map(({ name, net }) => inNamespace(name, `${net}.2`)) as [Machine, Machine, Machine];
    return { left, right, stranger };
  });
}
