/** `podyard token create | list | delete`: what another machine needs to join. */
import { systemClock } from '#base/clock.ts';
import { asAdmin } from '#cluster/admin.ts';
import { readClusterConfig, type ClusterConfig } from '#cluster/config.ts';
import { runningProcess } from '#cluster/daemon.ts';
import { createToken, deleteToken, joinCommand, listTokens, TOKEN_COLUMNS } from '#cluster/join/tokens.ts';
import { humanDuration, parseDurationMs } from '#machinery/duration.ts';
import { parseArguments, textOf, UsageError, type Flags, type Parsed } from '../arguments.ts';
import { DATA_DIR_FLAG, dataDirOf } from '../cluster-flags.ts';
import { complain, say } from '../terminal.ts';

export const TOKEN_FLAGS: Flags = {
  ...DATA_DIR_FLAG,
  ttl: { type: 'string', value: 'DURATION', help: 'how long the new token is good (default 24h); 0: until it is deleted' },
  description: { type: 'string', value: 'TEXT', help: 'what the new token is for' },
};

/** Times of tokens have whole seconds. No timer holds it: it may be longer than those of `durationOf`. */
function ttlOf(parsed: Parsed): number {
  const text = textOf(parsed, 'ttl') ?? '24h';
  let ms = NaN;
  try {
    ms = parseDurationMs(text);
  } catch {
    // Said below.
  }
  if (ms === 0 || ms >= 1000) return ms;
  throw new UsageError(`--ttl "${text}": must be a duration of a second or more such as 24h or 30m, or 0 for a token that does not expire`);
}
function table(rows: readonly (readonly string[])[]): string {
  const widths = TOKEN_COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)) + 3);
  return rows.map((row) => row.map((text, i) => text.padEnd(widths[i]!)).join('').trimEnd()).join('\n');
}

type Action = (config: ClusterConfig) => Promise<void>;
/** What the words ask for. Throws a {@link UsageError} before anything is done. */
function actionOf(parsed: Parsed): Action {
  const [verb = '', ...words] = parsed.words;
  if (verb === 'create' && words.length === 0) {
    const choices = { ttlMs: ttlOf(parsed), description: textOf(parsed, 'description') };
    return async (config) => {
      const made = await asAdmin(config, (client) => createToken(client, choices, systemClock));
      say(await joinCommand(config, made));
      say(made.expiration ? `\nFor any number of machines within ${humanDuration(choices.ttlMs)}, until ${made.expiration}.` : `\nFor any number of machines, until it is deleted: ./podyard token delete ${made.id}`);
    };
  }
  if (verb === 'list' && words.length === 0) return async (config) => say(table([TOKEN_COLUMNS, ...(await asAdmin(config, (client) => listTokens(client, systemClock)))]));
  const [word] = words;
  if (verb === 'delete' && words.length === 1) return async (config) => say(`token with the id "${await asAdmin(config, (client) => deleteToken(client, word!))}" deleted`);
  throw new UsageError('token: use "token create", "token list" or "token delete TOKEN_ID"');
}

export async function token(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, TOKEN_FLAGS);
  const action = actionOf(parsed);
  const dataDir = dataDirOf(parsed);
  const config = await readClusterConfig(dataDir);
  if (!config || !(await runningProcess(config))) {
    complain(config ? 'Podyard does not run; start it with: ./podyard up' : `there is no cluster in ${dataDir}; make one with: ./podyard up`);
    return 1;
  }
  await action(config);
  return 0;
}
