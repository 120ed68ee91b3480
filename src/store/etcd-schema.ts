/**
 * The part of etcd's v3 API (`etcdserverpb`, `mvccpb`) that the store uses: its wire numbers as a protobufjs table, and the
 * shapes as TypeScript sees them. 64-bit integers are numbers. Absent scalars have their zero value, absent messages are null.
 */
import type grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

interface Header {
  readonly revision: number;
}
export interface KeyValue {
  readonly key: Buffer;
  readonly modRevision: number;
  readonly value: Buffer;
}
export interface RangeRequest {
  readonly key: Buffer;
  readonly rangeEnd?: Buffer;
  readonly limit?: number;
  readonly revision?: number;
  readonly countOnly?: boolean;
}
export interface RangeResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}
export interface TxnRequest {
  readonly compare: readonly { readonly result: 'EQUAL'; readonly target: 'MOD'; readonly key: Buffer; readonly modRevision: number }[];
  readonly success: readonly ({ readonly requestPut: { readonly key: Buffer; readonly value: Buffer } } | { readonly requestDeleteRange: { readonly key: Buffer } })[];
  readonly failure: readonly { readonly requestRange: RangeRequest }[];
}
export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly responseRange?: RangeResponse | null }[];
}
export interface CompactionRequest {
  readonly revision: number;
}
export interface StatusResponse {
  /** `3.5.30` */
  readonly version: string;
  /** Bytes that the backend's file takes. */
  readonly dbSize: number;
}
export interface WatchRequest {
  readonly createRequest?: { readonly key: Buffer; readonly rangeEnd: Buffer; readonly startRevision: number; readonly progressNotify: boolean; readonly prevKv: boolean };
  readonly progressRequest?: Record<never, never>;
}
export interface WatchResponse {
  readonly header: Header;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly events: readonly { readonly type: 'PUT' | 'DELETE'; readonly kv: KeyValue; readonly prevKv?: KeyValue | null }[];
}

type Fields = Record<string, protobuf.IField | protobuf.IMapField>;
const one = (type: string, id: number): protobuf.IField => ({ type, id });
const many = (type: string, id: number): protobuf.IField => ({ rule: 'repeated', type, id });
const message = (fields: Fields, oneofs?: protobuf.IType['oneofs']): protobuf.IType => ({ fields, ...(oneofs ? { oneofs } : {}) });

const root = protobuf.Root.fromJSON({
  nested: {
    EventType: { values: { PUT: 0, DELETE: 1 } },
    CompareResult: { values: { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } },
    CompareTarget: { values: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } },
    KeyValue: message({ key: one('bytes', 1), modRevision: one('int64', 3), value: one('bytes', 5) }),
    Event: message({ type: one('EventType', 1), kv: one('KeyValue', 2), prevKv: one('KeyValue', 3) }),
    Header: message({ revision: one('int64', 3) }),
    RangeRequest: message({ key: one('bytes', 1), rangeEnd: one('bytes', 2), limit: one('int64', 3), revision: one('int64', 4), countOnly: one('bool', 9) }),
    RangeResponse: message({ header: one('Header', 1), kvs: many('KeyValue', 2), more: one('bool', 3) }),
    PutRequest: message({ key: one('bytes', 1), value: one('bytes', 2) }),
    DeleteRangeRequest: message({ key: one('bytes', 1) }),
    RequestOp: message({ requestRange: one('RangeRequest', 1), requestPut: one('PutRequest', 2), requestDeleteRange: one('DeleteRangeRequest', 3) }, { request: { oneof: ['requestRange', 'requestPut', 'requestDeleteRange'] } }),
    ResponseOp: message({ responseRange: one('RangeResponse', 1) }),
    Compare: message({ result: one('CompareResult', 1), target: one('CompareTarget', 2), key: one('bytes', 3), modRevision: one('int64', 6) }, { targetUnion: { oneof: ['modRevision'] } }),
    TxnRequest: message({ compare: many('Compare', 1), success: many('RequestOp', 2), failure: many('RequestOp', 3) }),
    TxnResponse: message({ header: one('Header', 1), succeeded: one('bool', 2), responses: many('ResponseOp', 3) }),
    CompactionRequest: message({ revision: one('int64', 1) }),
    CompactionResponse: message({ header: one('Header', 1) }),
    StatusRequest: message({}),
    StatusResponse: message({ version: one('string', 2), dbSize: one('int64', 3) }),
    WatchCreateRequest: message({ key: one('bytes', 1), rangeEnd: one('bytes', 2), startRevision: one('int64', 3), progressNotify: one('bool', 4), prevKv: one('bool', 6) }),
    WatchProgressRequest: message({}),
    WatchRequest: message({ createRequest: one('WatchCreateRequest', 1), progressRequest: one('WatchProgressRequest', 3) }, { requestUnion: { oneof: ['createRequest', 'progressRequest'] } }),
    WatchResponse: message({ header: one('Header', 1), created: one('bool', 3), canceled: one('bool', 4), compactRevision: one('int64', 5), cancelReason: one('string', 6), events: many('Event', 11) }),
  },
});

/** A method as grpc-js takes it. */
function method<In, Out>(path: string, request: string, response: string, stream = false): grpc.MethodDefinition<In, Out> {
  const [input, output] = [root.lookupType(request), root.lookupType(response)];
  return {
    path,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: (value) => input.encode(input.fromObject(value as Record<string, unknown>)).finish() as Buffer,
    requestDeserialize: (bytes) => input.decode(bytes) as In,
    responseSerialize: (value) => output.encode(output.fromObject(value as Record<string, unknown>)).finish() as Buffer,
    responseDeserialize: (bytes) => output.toObject(output.decode(bytes), { defaults: true, longs: Number, enums: String }) as Out,
  };
}

export const RANGE = method<RangeRequest, RangeResponse>('/etcdserverpb.KV/Range', 'RangeRequest', 'RangeResponse');
export const TXN = method<TxnRequest, TxnResponse>('/etcdserverpb.KV/Txn', 'TxnRequest', 'TxnResponse');
export const COMPACT = method<CompactionRequest, { readonly header: Header }>('/etcdserverpb.KV/Compact', 'CompactionRequest', 'CompactionResponse');
export const STATUS = method<Record<never, never>, StatusResponse>('/etcdserverpb.Maintenance/Status', 'StatusRequest', 'StatusResponse');
export const WATCH = method<WatchRequest, WatchResponse>('/etcdserverpb.Watch/Watch', 'WatchRequest', 'WatchResponse', true);
