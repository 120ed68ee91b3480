/** What a container says of its end. Source: API reference, Container.terminationMessagePath and -Policy. */
import { open } from 'node:fs/promises';
import type { ContainerStatus } from '#cri/types.ts';
import { ANNOTATIONS } from '../interfaces.ts';

const MAX_BYTES = 4096;
const MAX_LOG_BYTES = 2048;
const MAX_LOG_LINES = 80;

/** The first or last bytes of a file; '' when it cannot be read. */
async function readPart(path: string, bytes: number, tail: boolean): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const start = tail ? Math.max(0, size - bytes) : 0;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(bytes, size)), 0, Math.min(bytes, size), start);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return '';
  }
}
/** The end of a CRI log without its time stamps. */
async function logTail(path: string): Promise<string> {
  // A CRI line has about 40 bytes of prefix: read enough for the lines that are kept.
  const text = await readPart(path, MAX_LOG_BYTES + MAX_LOG_LINES * 64, true);
  const lines = text.split('\n').filter((l) => /^\S+ (stdout|stderr) [FP]/.test(l)).slice(-MAX_LOG_LINES);
  const plain = lines.map((l) => { const [, , tag, ...rest] = l.split(' '); return rest.join(' ') + (tag === 'F' ? '\n' : ''); }).join('');
  return Buffer.from(plain).subarray(-MAX_LOG_BYTES).toString('utf8');
}

/** The termination message of an ended container: its file, or its log's end where the policy says so, or the runtime's own text. */
export async function terminationMessage(status: ContainerStatus): Promise<string> {
  const path = status.annotations[ANNOTATIONS.terminationMessagePath];
  const hostPath = status.mounts.find((m) => m.containerPath === path)?.hostPath;
  const written = hostPath ? await readPart(hostPath, MAX_BYTES, false) : '';
  if (written !== '') return written;
  const fallback = status.annotations[ANNOTATIONS.terminationMessagePolicy] === 'FallbackToLogsOnError' && status.exitCode !== 0;
  const fromLog = fallback ? await logTail(status.logPath) : '';
  return fromLog || status.message;
}
