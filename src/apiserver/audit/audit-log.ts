/** An audit log as a cluster has it: a policy file that is there decides, and a file beside it is written. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { Auditor } from './auditor.ts';
import { LogFile, type LogFileOptions } from './log-file.ts';
import { parseAuditPolicy } from './policy.ts';

export interface AuditLogOptions extends Omit<LogFileOptions, 'path' | 'clock'> {
  readonly policyPath: string;
  readonly logPath: string;
  readonly clock: Clock;
}

export class AuditLog {
  readonly auditor: Auditor;
  readonly #file: LogFile;
  private constructor(auditor: Auditor, file: LogFile) {
    this.auditor = auditor;
    this.#file = file;
  }
  /** Undefined where there is no policy. Throws for a policy that cannot be used and for a file that cannot be written. */
  static async open({ policyPath, logPath, clock, ...limits }: AuditLogOptions): Promise<AuditLog | undefined> {
    const text = await readFile(policyPath, 'utf8').catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return undefined;
      throw err;
    });
    if (text === undefined) return undefined;
    const policy = parseAuditPolicy(text);
    const file = new LogFile({ path: logPath, clock, ...limits });
    await file.open();
    return new AuditLog(new Auditor(policy, (line) => file.write(line), clock), file);
  }
  flush(): Promise<void> {
    return this.#file.flush();
  }
  /** Writes out what waits. */
  close(): Promise<void> {
    return this.#file.close();
  }
}
