/** Network namespaces that stand for machines on one network: free ports, free ranges, and links to pull out. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

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

/** A Pod of a machine as the bridge plugin makes it: a namespace of its own on the machine's bridge, whose address is the first of the range. */
export async function addPod(machine: Machine, bridge: string, gateway: string, ip: string): Promise<Machine & AsyncDisposable> {
  const name = `podyard-it-${process.pid}-${ip}`;
  const link = `p${ip.replaceAll('.', '')}`;
  await exec('ip', ['netns', 'add', name]);
  const pod = inNamespace(name, ip);
  for (const command of [`link add ${bridge} type bridge`, `address add ${gateway}/24 dev ${bridge}`, `link set ${bridge} up`, `link add ${link} type veth peer name eth0 netns ${name}`, `link set ${link} master ${bridge} up`]) await machine.run('ip', ...command.split(' '));
  for (const command of [`address add ${ip}/24 dev eth0`, 'link set eth0 up', `route add default via ${gateway}`]) await pod.run('ip', ...command.split(' '));
  return { ...pod, [Symbol.asyncDispose]: async () => void (await exec('ip', ['netns', 'delete', name]).catch(() => {})) };
}

/** Two machines, `172.30.0.1` and `172.30.0.2`, joined by their `eth0`. */
export async function makeMachines(): Promise<Machines> {
  const names = ['l', 'r'].map((side) => `podyard-it-${process.pid}-${side}`) as [string, string];
  const [left, right] = [inNamespace(names[0], '172.30.0.1'), inNamespace(names[1], '172.30.0.2')];
  // The link goes with the namespaces that hold its ends.
  const remove = async (): Promise<void> => {
    for (const name of names) await exec('ip', ['netns', 'delete', name]).catch(() => {});
  };
  try {
    for (const name of names) await exec('ip', ['netns', 'add', name]);
    await exec('ip', ['link', 'add', 'eth0', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'eth0', 'netns', names[1]]);
    for (const { run, ip } of [left, right]) {
      await run('ip', 'link', 'set', 'lo', 'up');
      await run('ip', 'address', 'add', `${ip}/24`, 'dev', 'eth0');
      await run('ip', 'link', 'set', 'eth0', 'up');
    }
  } catch (err) {
    await remove();
    throw err;
  }
  return { left, right, [Symbol.asyncDispose]: remove };
}
