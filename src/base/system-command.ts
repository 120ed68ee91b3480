/** How programs of the system are started. Source: nsenter(1). */

const PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;

export interface SystemCommand {
  readonly file: string;
  readonly args: readonly string[];
}

/** The command that runs a program in a network namespace, by the namespace's path; undefined for the process's own. */
export function commandIn(netns: string | undefined, file: string, args: readonly string[]): SystemCommand {
  return netns === undefined ? { file, args } : { file: 'nsenter', args: [`--net=${netns}`, file, ...args] };
}
/** Environment for system tools, which a login shell's PATH may lack. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH };
}
