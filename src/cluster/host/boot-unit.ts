/**
 * Has systemd start Podyard when the machine starts. The unit runs the process itself: containers and containerd are none of its business, so that they
 * outlive a restart of it, as they outlive `podyard down`. Source: systemd.service(5), systemd.kill(5), sd_booted(3).
 */
import { access, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { NodeConfig } from '../config.ts';
import { logFile } from '../daemon.ts';
import { run } from '../runtime/command.ts';
import { writeFileAtomically } from '../runtime/files.ts';
import type { HostChanges } from '../runtime/host-changes.ts';

/** Exit code of the process when another one of its cluster runs. */
export const ALREADY_RUNS = 3;
const UNIT_DIR = '/etc/systemd/system';

/** `podyard.service`; another data directory has a unit of its own. */
export function unitName(config: Pick<NodeConfig, 'runDir'>): string {
  return `${basename(config.runDir)}.service`;
}
/** A word of a command line in a unit: its specifiers, variables and quotes mean themselves. */
function quoted(word: string): string {
  return `"${word.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}
/** `command` is that of the process, its program's path absolute. */
export function bootUnit(config: Pick<NodeConfig, 'dataDir'>, command: readonly string[]): string {
  return `[Unit]
Description=Podyard, Kubernetes in one process
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=${command.map(quoted).join(' ')}
StandardOutput=append:${logFile(config).replaceAll('%', '%%')}
StandardError=inherit
# An end that nobody asked for. "podyard down" is none, nor is that it runs already.
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=${ALREADY_RUNS}
# Containers go on.
KillMode=process
TimeoutStopSec=60
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`;
}

/** Writes the unit and enables it; it is not started now. Rejects on a machine that systemd does not run. Idempotent. */
export async function startAtBoot(config: NodeConfig, command: readonly string[], changes: HostChanges): Promise<void> {
  if (!(await access('/run/systemd/system').then(() => true, () => false))) throw new Error('--at-boot: this machine is not run by systemd: have its own init start "podyard up"');
  const name = unitName(config);
  await changes.record('boot-unit', name);
  if (await writeFileAtomically(`${UNIT_DIR}/${name}`, bootUnit(config, command), 0o644)) await run('systemctl', ['daemon-reload']);
  await run('systemctl', ['enable', name]);
}
/** Takes a unit away again; what has gone already is no error. */
export async function removeBootUnit(name: string): Promise<void> {
  await rm(`${UNIT_DIR}/multi-user.target.wants/${name}`, { force: true });
  await rm(`${UNIT_DIR}/${name}`, { force: true });
  await run('systemctl', ['daemon-reload']).catch(() => {});
}
/** True when the machine starts Podyard with itself. */
export async function startsAtBoot(config: Pick<NodeConfig, 'runDir'>): Promise<boolean> {
  return await access(`${UNIT_DIR}/multi-user.target.wants/${unitName(config)}`).then(() => true, () => false);
}
