/** A network namespace with a link to the host: there, every port is free and every address range too. */
import { runProgram } from './process.ts';

export interface TestNetns extends AsyncDisposable {
  readonly name: string;
  /** How a command enters it: `nsenter --net=/run/netns/NAME`. */
  readonly enter: readonly string[];
  /** The host's address on the link, where servers of the test listen. */
  readonly hostIP: string;
  /** The namespace's own. */
  readonly ip: string;
}

export async function makeNetns(): Promise<TestNetns> {
  const id = process.pid % 10_000;
  const name = `podyard-e2e-${id}`;
  const link = `pye${id}`;
  const net = `172.31.${id % 256}`;
  const ip = (...args: string[]): Promise<unknown> => runProgram('ip', args);
  const enter = ['nsenter', `--net=/run/netns/${name}`];
  const inside = (...args: string[]): Promise<unknown> => runProgram('nsenter', [`--net=/run/netns/${name}`, 'ip', ...args]);
  await ip('netns', 'add', name);
  const remove = async (): Promise<void> => {
    await runProgram('ip', ['link', 'delete', link], { expect: 'any' });
    await runProgram('ip', ['netns', 'delete', name], { expect: 'any' });
  };
  try {
    await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await ip('address', 'add', `${net}.1/24`, 'dev', link);
    await ip('link', 'set', link, 'up');
    await inside('link', 'set', 'lo', 'up');
    await inside('address', 'add', `${net}.2/24`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('route', 'add', 'default', 'via', `${net}.1`);
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, enter, hostIP: `${net}.1`, ip: `${net}.2`, [Symbol.asyncDispose]: remove };
}
