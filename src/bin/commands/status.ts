/** `podyard status`: does the cluster run, and is it well? Exit code 0: yes; 3: it does not run; 1: it runs and is not well. */
import { readFile } from 'node:fs/promises';
import { hasJoined, readMachineConfig } from '#cluster/join/config.ts';
import { runningProcess, logFile } from '#cluster/daemon.ts';
import { startsAtBoot, unitName } from '#cluster/host/boot-unit.ts';
import { summarise } from '#cluster/admin.ts';
import { parseArguments } from '../arguments.ts';
import { DATA_DIR_FLAG, dataDirOf } from '../cluster-flags.ts';
import { complain, say } from '../terminal.ts';

export const STATUS_FLAGS = DATA_DIR_FLAG;

async function residentMegabytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024);
}

export async function status(args: readonly string[]): Promise<number> {
  const dataDir = dataDirOf(parseArguments(args, STATUS_FLAGS));
  const config = await readMachineConfig(dataDir);
  const running = config && (await runningProcess(config));
  if (!config || !running) {
    say(config ? 'Podyard does not run. Start it with: ./podyard up' : `There is no cluster in ${dataDir}. Make one with: ./podyard up`);
    return 3;
  }
  say(`process      ${running.pid}, ${await residentMegabytes(running.pid)} MB resident`);
  say(`API server   ${hasJoined(config) ? config.server : `https://127.0.0.1:${config.apiPort}`}`);
  say(`kubeconfig   ${config.kubeconfig}`);
  say(`log          ${logFile(config)}`);
  if (await startsAtBoot(config)) say(`at boot      starts with the machine (${unitName(config)})`);
  try {
    const { nodes, pods, pulls } = await summarise(config, hasJoined(config) ? config.nodeName : undefined);
    if (nodes.length === 0) say(`node         ${config.nodeName} is not in the cluster; to register it anew: ./podyard down && ./podyard up`);
    for (const n of nodes) say(`node         ${n.name} ${n.ready ? 'Ready' : 'NotReady'}, ${n.version}, ${n.runtime}`);
    say(`pods         ${pods.running} of ${pods.total} running${hasJoined(config) ? ' here' : ''}`);
    for (const p of pulls) say(`pull         ${p.message}, for ${p.pod}`);
    return nodes.length > 0 && nodes.every((n) => n.ready) ? 0 : 1;
  } catch (err) {
    complain(`the API server does not answer: ${(err as Error).message}`);
    return 1;
  }
}
