/** The command line: chooses a command, runs it, ends with its exit code. */
import { UsageError, flagHelp, type Flags } from './arguments.ts';
import { resolveSources } from './resolve-sources.ts';
import { complain, outliveReaders, say } from './terminal.ts';

interface Command {
  readonly help: string;
  readonly usage: string;
  /** Loads and runs the command: a module is read only when its command is used. */
  run(args: readonly string[]): Promise<number>;
  flags?(): Promise<Flags>;
  /** Passes every argument on, `--help` too. */
  readonly raw?: boolean;
  readonly hidden?: boolean;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: { help: 'start the cluster; prepare the machine first where needed', usage: 'up [flags]', run: async (a) => (await import('./commands/up.ts')).up(a), flags: async () => (await import('./commands/up.ts')).UP_FLAGS },
  join: { help: 'make this machine a node of a cluster that runs elsewhere', usage: 'join SERVER --token TOKEN --discovery-token-ca-cert-hash HASH [flags]', run: async (a) => (await import('./commands/join.ts')).join(a), flags: async () => (await import('./commands/join.ts')).JOIN_FLAGS },
  down: { help: 'stop the cluster; its data and Pods stay', usage: 'down [flags]', run: async (a) => (await import('./commands/down.ts')).down(a), flags: async () => (await import('./commands/down.ts')).DOWN_FLAGS },
  status: { help: 'show whether the cluster runs and is well', usage: 'status [flags]', run: async (a) => (await import('./commands/status.ts')).status(a), flags: async () => (await import('./commands/status.ts')).STATUS_FLAGS },
  kubectl: { help: 'run kubectl against the cluster', usage: 'kubectl [arguments of kubectl]', raw: true, run: async (a) => (await import('./commands/kubectl.ts')).kubectl(a) },
  image: { help: 'load images from files, list those of the node', usage: 'image load FILE… | image list', run: async (a) => (await import('./commands/image.ts')).image(a), flags: async () => (await import('./commands/image.ts')).IMAGE_FLAGS },
  token: { help: 'make, list and delete tokens with which machines join', usage: 'token create [--ttl 24h] [--description TEXT] | token list | token delete TOKEN_ID|TOKEN', run: async (a) => (await import('./commands/token.ts')).token(a), flags: async () => (await import('./commands/token.ts')).TOKEN_FLAGS },
  uninstall: { help: 'remove the cluster and every trace of it', usage: 'uninstall [flags]', run: async (a) => (await import('./commands/uninstall.ts')).uninstall(a), flags: async () => (await import('./commands/uninstall.ts')).UNINSTALL_FLAGS },
  serve: { help: "the cluster's own process", usage: 'serve [flags]', hidden: true, run: async (a) => (await import('./commands/serve.ts')).serve(a) },
};

function overview(): string {
  const rows = Object.entries(COMMANDS).filter(([, c]) => !c.hidden).map(([name, c]) => `  ${name.padEnd(12)}${c.help}`);
  return `Podyard: Kubernetes in one process.\n\nUsage: podyard COMMAND\n\n${rows.join('\n')}\n\nMore of a command: podyard COMMAND --help`;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    say(overview());
    return 0;
  }
  const command = COMMANDS[name];
  if (!command) {
    complain(`"${name}" is not a command\n\n${overview()}`);
    return 2;
  }
  if (!command.raw && rest.includes('--help')) {
    say(`${command.help}\n\nUsage: podyard ${command.usage}\n\n${flagHelp((await command.flags?.()) ?? {})}`);
    return 0;
  }
  try {
    return await command.run(rest);
  } catch (err) {
    complain(err instanceof UsageError ? `${err.message}\n    → podyard ${name} --help` : (err as Error).message);
    return err instanceof UsageError ? 2 : 1;
  }
}

outliveReaders();
// Before the command's own modules are loaded.
resolveSources();
process.exitCode = await main(process.argv.slice(2));
