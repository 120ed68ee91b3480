import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { openTracing, type Tracing } from '#apiserver/tracing/tracing.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

/** The part of `opentelemetry.proto.collector.trace.v1` that the test reads. */
const { root } = protobuf.parse(`
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message Response {}
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { string string_value = 1; int64 int_value = 3; }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6; repeated KeyValue attributes = 9; repeated Link links = 13; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
`);
interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}
interface WireSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly parentSpanId: Buffer;
  readonly attributes: readonly KeyValue[];
  readonly links: readonly { readonly traceId: Buffer }[];
}
const attribute = (list: readonly KeyValue[], key: string): unknown => {
  const value = list.find((a) => a.key === key)?.value;
  return value?.stringValue || value?.intValue;
};

const CMS = '/api/v1/namespaces/default/configmaps';
const spans: WireSpan[] = [];
const services = new Set<unknown>();
let dir: string;
let collector: grpc.Server;
let tracing: Tracing;
let fixture: Fixture;
let http: Requests;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-tracing-'));
  collector = new grpc.Server();
  const read = (bytes: Buffer): unknown => root.lookupType('Request').toObject(root.lookupType('Request').decode(bytes), { arrays: true, longs: Number, defaults: true });
  collector.register('/opentelemetry.proto.collector.trace.v1.TraceService/Export', ((call: grpc.ServerUnaryCall<{ resourceSpans: { resource: { attributes: KeyValue[] }; scopeSpans: { spans: WireSpan[] }[] }[] }, object>, callback: grpc.sendUnaryData<object>) => {
    for (const { resource, scopeSpans } of call.request.resourceSpans) {
      services.add(attribute(resource.attributes, 'service.name'));
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    callback(null, {});
  }) as grpc.UntypedHandleCall, () => Buffer.alloc(0), read, 'unary');
  const port = await new Promise<number>((resolve, reject) => collector.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (err, bound) => (err ? reject(err) : resolve(bound))));
  await writeFile(join(dir, 'tracing.yaml'), `apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: 127.0.0.1:${port}\nsamplingRatePerMillion: 1000000\n`);
  tracing = (await openTracing(join(dir, 'tracing.yaml'), 'this-one'))!;
  fixture = await startServer({ tracing });
  http = new Requests(fixture);
});
after(async () => {
  collector.forceShutdown();
  await rm(dir, { recursive: true, force: true });
});

test('requests and their writes are spans of one trace, exported by OTLP; a trusted client\'s trace goes on, another\'s is linked', async () => {
  const client = { trace: 'a'.repeat(32), span: 'b'.repeat(16) };
  const traceparent = `00-${client.trace}-${client.span}-01`;
  assert.equal((await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }, { traceparent, 'audit-id': 'create-1' })).code, 201);
  assert.equal((await http.get(`${CMS}/a`, { 'audit-id': 'get-1' })).code, 200);
  await http.call('GET', '/version', { anonymous: true, headers: { traceparent, 'audit-id': 'anonymous-1' } });
  await http.get(`${CMS}/a`, { traceparent: `00-${client.trace}-${client.span}-00`, 'audit-id': 'unsampled-1' });
  http.close();
  await fixture.close();
  await tracing.close();

  assert.deepEqual([...services], ['apiserver']);
  const of = (id: string): WireSpan | undefined => spans.find((s) => attribute(s.attributes, 'audit-id') === id);
  const create = of('create-1')!;
  assert.equal(create.name, 'POST /api/v1/namespaces/{:namespace}/configmaps');
  assert.deepEqual([create.traceId.toString('hex'), create.parentSpanId.toString('hex'), create.kind], [client.trace, client.span, 2]);
  assert.equal(attribute(create.attributes, 'http.response.status_code'), 201);
  const write = spans.find((s) => s.name === 'Create etcd3' && s.parentSpanId.equals(create.spanId))!;
  assert.equal(attribute(write.attributes, 'key'), '/registry/configmaps/default/a');
  assert.equal(write.traceId.toString('hex'), client.trace);
  const get = of('get-1')!;
  assert.equal(get.parentSpanId.length, 0);
  const anonymous = of('anonymous-1')!;
  assert.notEqual(anonymous.traceId.toString('hex'), client.trace);
  assert.deepEqual(anonymous.links.map((l) => l.traceId.toString('hex')), [client.trace]);
  assert.equal(of('unsampled-1'), undefined);
});
