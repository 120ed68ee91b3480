import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HtmlLinkRewriter, rewriteLink, type LinkOrigin } from './link-rewriter.ts';

const prefix = '/api/v1/namespaces/default/pods/web/proxy';
const origin: LinkOrigin = { prefix, hosts: ['10.1.1.1:80', 'localhost:8001'] };

test('rewriteLink leads through the proxy what is the target\'s own', () => {
  const cases: [string, string][] = [
    ['/a/b?c=/d#e', `${prefix}/a/b?c=/d#e`], ['/', `${prefix}/`], ['/a/../b/', `${prefix}/b/`], ['a/b', 'a/b'], ['', ''], ['#top', '#top'], ['?q=1', '?q=1'],
    ['http://10.1.1.1:80/a', `${prefix}/a`], ['http://localhost:8001/a', `http://localhost:8001${prefix}/a`], ['//10.1.1.1:80/a', `${prefix}/a`], ['https://example.com/a', 'https://example.com/a'],
    [`${prefix}/a`, `${prefix}/a`], ['mailto:a@b.example', 'mailto:a@b.example'], ['javascript:void(0)', 'javascript:void(0)'], ['/%zz', '/%zz'], ['http://10.1.1.1:80', 'http://10.1.1.1:80'],
  ];
  for (const [link, want] of cases) assert.equal(rewriteLink(link, origin), want, link);
});

const PAGE = `<!DOCTYPE html><html><head><link rel=stylesheet href=/s.css><script src="/j.js">if (a < b) x = '<a href="/no">';</script><title><a href="/no"></title></head>
<body background='/b.png'><!-- <a href="/no"> --><a title="a > b" href = "/ä">é 1 < 2</a><IMG SRC="/i.png" alt="/no"/><p cite="/no">x</p><a href="rel">y</a></body></html>`;
const REWRITTEN = PAGE.replace('/s.css', `${prefix}/s.css`).replace('/j.js', `${prefix}/j.js`).replace('/b.png', `${prefix}/b.png`).replace('/ä', `${prefix}/ä`).replace('/i.png', `${prefix}/i.png`);

test('HtmlLinkRewriter changes the links of elements and nothing else, wherever the pieces are cut', () => {
  for (const size of [1, 2, 3, 7, 64, 10_000]) {
    const rewriter = new HtmlLinkRewriter(origin);
    const bytes = Buffer.from(PAGE);
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) out.push(rewriter.feed(bytes.subarray(at, at + size)));
    out.push(rewriter.end());
    assert.equal(Buffer.concat(out).toString(), REWRITTEN, `pieces of ${size}`);
  }
});

test('HtmlLinkRewriter holds back no more than a tag', () => {
  const rewriter = new HtmlLinkRewriter(origin);
  let out = 0;
  for (let i = 0; i < 300; i++) {
    out += rewriter.feed(Buffer.from(i === 0 ? '<a href="' : 'x'.repeat(1000))).length;
    assert.ok(i * 1000 + 9 - out <= 70_000);
  }
});
