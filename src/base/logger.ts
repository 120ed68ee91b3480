import { pino, type Logger as Pino } from 'pino';

/** A logger: a constant message, then fields. Secrets never go into either. */
export type Logger = Pick<Pino, 'debug' | 'info' | 'warn' | 'error'>;

let root: Pino = pino({ level: process.env['PODYARD_LOG'] ?? 'warn', base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));

/** Sends the logs of the whole process to a file descriptor, at a level (`debug`, `info`, `warn`, `error`, `silent`). Call it first. */
export function configureLogging(options: { level: string; fd?: number }): void {
  root = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: options.fd ?? 2, sync: true }));
}

/** The logger of one component. */
export function logger(component: string): Logger {
  let child: Pino | undefined;
  let parent: Pino | undefined;
  const get = (): Pino => {
    if (!child || parent !== root) [child, parent] = [root.child({ component }), root];
    return child;
  };
  return {
    get debug() { const l = get(); return l.debug.bind(l); },
    get info() { const l = get(); return l.info.bind(l); },
    get warn() { const l = get(); return l.warn.bind(l); },
    get error() { const l = get(); return l.error.bind(l); },
  };
}
