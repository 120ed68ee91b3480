/**
 * `/logs/`: files and folders of the node's log directory, as Go's http.FileServer shows them (`enableSystemLogHandler`). Links that lead out of the
 * directory are refused: a Pod that may write there must not read the node's other files by way of the kubelet.
 */
import { createReadStream, type Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { posix, sep } from 'node:path';
import { textAnswer, type KubeletAnswer } from './request.ts';

const NOT_FOUND = '404 page not found\n';
const FORBIDDEN = '403 Forbidden\n';
const HTML_ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => HTML_ESCAPES[c]!);

/** `path` is what follows `/logs`, decoded or not at all. */
export async function serveNodeLogs(root: string, path: string): Promise<KubeletAnswer> {
  let file: string;
  let info: Stats;
  try {
    // Dots cannot lead above the root of an absolute path.
    const inside = posix.normalize(`/${decodeURIComponent(path)}`);
    const top = await realpath(root);
    file = await realpath(top + inside.replace(/\/$/, ''));
    if (file !== top && !file.startsWith(top + sep)) return textAnswer(403, FORBIDDEN);
    info = await stat(file);
  } catch (err) {
    return refusal(err);
  }
  const asFolder = path.endsWith('/');
  if (info.isDirectory()) return asFolder ? folderAnswer(file) : redirect(`${posix.basename(path)}/`);
  if (asFolder) return redirect(`../${posix.basename(path)}`);
  if (!info.isFile()) return textAnswer(403, FORBIDDEN);
  return fileAnswer(file, info);
}

function refusal(err: unknown): KubeletAnswer {
  switch ((err as NodeJS.ErrnoException).code) {
    case 'ENOENT': case 'ENOTDIR': case 'ERR_INVALID_ARG_VALUE': return textAnswer(404, NOT_FOUND);
    case 'EACCES': case 'EPERM': return textAnswer(403, FORBIDDEN);
    default: return err instanceof URIError ? textAnswer(404, NOT_FOUND) : textAnswer(500, '500 Internal Server Error\n');
  }
}
function redirect(location: string): KubeletAnswer {
  return { status: 301, headers: { Location: location }, body: Buffer.alloc(0) };
}

async function folderAnswer(folder: string): Promise<KubeletAnswer> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.map((e) => (e.isDirectory() ? `${e.name}/` : e.name)).toSorted();
  const lines = names.map((name) => `<a href="${escapeHtml(name.split('/').map(encodeURIComponent).join('/'))}">${escapeHtml(name)}</a>\n`);
  const body = `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${lines.join('')}</pre>\n`;
  return textAnswer(200, body, { 'Content-Type': 'text/html; charset=utf-8' });
}
/** As much as the file has now: a log that grows meanwhile has a definite end. */
function fileAnswer(file: string, info: Stats): KubeletAnswer {
  const headers = { 'Content-Type': file.endsWith('.gz') ? 'application/gzip' : 'text/plain; charset=utf-8', 'Last-Modified': info.mtime.toUTCString() };
  return { status: 200, headers, body: info.size === 0 ? Buffer.alloc(0) : createReadStream(file, { end: info.size - 1 }) };
}
