/** Runs `ip` and `bridge` of iproute2. Source: ip(8), bridge(8). */
import { execFile } from 'node:child_process';
import { commandIn, toolEnvironment } from '#base/system-command.ts';

/** The tool ran and said no; the message is what it printed, without the words that begin it. */
export class IpError extends Error {}

export interface IpOptions {
  /** Path of a network namespace to run in. Default: the process's own. */
  readonly netns?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** What `ip` printed. Rejects with {@link IpError} where the kernel, or the tool itself, refuses. */
export function runIp(args: readonly string[], options: IpOptions = {}): Promise<string> {
  return runTool('ip', args, options);
}
/** What `bridge` printed, as {@link runIp}. */
export function runBridge(args: readonly string[], options: IpOptions = {}): Promise<string> {
  return runTool('bridge', args, options);
}

function runTool(tool: 'ip' | 'bridge', args: readonly string[], { netns, signal }: IpOptions): Promise<string> {
  const command = commandIn(netns, tool, args);
  return new Promise((resolve, reject) => {
    execFile(command.file, command.args, { env: toolEnvironment(), maxBuffer: MAX_OUTPUT_BYTES, signal }, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (signal?.aborted) reject(signal.reason as Error);
      else reject(typeof error.code === 'number' ? new IpError(answerIn(stderr), { cause: error }) : error);
    });
  });
}

/** `Error: Nexthop has invalid gateway.` and `RTNETLINK answers: File exists` without their frames. */
function answerIn(stderr: string): string {
  return stderr.trim().replace(/^(?:RTNETLINK answers|Error): /, '').replace(/\.$/, '');
}
