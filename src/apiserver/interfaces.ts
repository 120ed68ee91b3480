/**
 * The contracts between the request pipeline and the parts that plug into it: authenticators, authorizers, admission
 * plugins, and the read and write access those parts have to the cluster's own objects.
 *
 * One request passes: authenticate → impersonate → authorise → (body) → admission, mutating → strategy → admission,
 * validating → store. Every part refuses by throwing a `StatusError`. Parts that can answer at once return the value itself
 * and not a promise: most requests then pass the whole chain without a turn of the event loop.
 */
import type { X509Certificate } from 'node:crypto';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { UserInfo } from './registry/strategy.ts';

export type { UserInfo } from './registry/strategy.ts';
export type MaybePromise<T> = T | Promise<T>;

/* ---------------------------------------------------------------- requests */

/** What a request asks for, read from its method, path and query: upstream's `request.RequestInfo`. */
export interface RequestInfo {
  /** False: a path outside of the resources, such as `/version`. */
  readonly isResourceRequest: boolean;
  /** Resources: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`. Else the lower-case HTTP method. */
  readonly verb: string;
  /** Path without the query. */
  readonly path: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  /** '' for cluster-scoped objects and for lists over all namespaces. */
  readonly namespace: string;
  /** Plural. */
  readonly resource: string;
  readonly subresource: string;
  /** '' for lists and creates. A list with a field selector on `metadata.name` carries that name. */
  readonly name: string;
  /** Selectors as the client wrote them, for authorizers that look at them. */
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/* ---------------------------------------------------------------- who */

/** What an authenticator may see of a request. */
export interface AuthenticationRequest {
  /** A header by its lower-case name; several values are joined by ", ". */
  header(name: string): string | undefined;
  /** All values of a header that may repeat, such as `impersonate-group`. */
  headerValues(name: string): readonly string[];
  /** Lower-case names of all headers. */
  headerNames(): readonly string[];
  /**
   * The client's certificate as the TLS handshake proved it: the client holds its key. NOT checked against any CA.
   * The same object for all requests of a connection, so that a `WeakMap` can remember the check.
   */
  readonly peerCertificate?: X509Certificate | undefined;
  /** The client's address, without port. */
  readonly remoteAddress: string;
  /** Path with the query, for WebSocket clients that put their token elsewhere. */
  readonly path: string;
}
export interface AuthenticationResult {
  readonly user: UserInfo;
  /** Audiences for which a token is good; absent for other credentials. */
  readonly audiences?: readonly string[] | undefined;
  /** What is remarkable about the credentials. */
  readonly notes?: AuthenticationNotes | undefined;
  /** When the certificate that proved it ends, in milliseconds since the epoch. */
  readonly certificateEnds?: number | undefined;
}
export interface AuthenticationNotes {
  /** For the audit log. */
  readonly annotations: Readonly<Record<string, string>>;
  /** For `Warning` headers. */
  readonly warnings?: readonly string[] | undefined;
}
export interface Authenticator {
  /** undefined: the request carries nothing of this kind, ask the next one. Throws for credentials that are wrong, with the reason for the log; the client sees `Unauthorized`. */
  authenticate(request: AuthenticationRequest, signal: AbortSignal): MaybePromise<AuthenticationResult | undefined>;
}
/** Bearer tokens by themselves: TokenReview and the kubelet's webhook use it. */
export interface TokenAuthenticator {
  /** undefined: not a token of this kind. Throws for a token of this kind that is wrong, with the reason as message. `audiences` empty: the API server's own. */
  authenticateToken(token: string, audiences: readonly string[], signal: AbortSignal): MaybePromise<AuthenticationResult | undefined>;
}
/** `Impersonate-User`, `-Group`, `-Uid`, `-Extra-…`: returns the user to act as, or `user` itself when no header asks. Throws `forbidden`. */
export interface Impersonator {
  impersonate(request: AuthenticationRequest, user: UserInfo, signal: AbortSignal, /** The request at hand, for constrained impersonation. */ info?: RequestInfo): MaybePromise<UserInfo>;
}
/** What `create serviceaccounts/token` needs: upstream's TokenRequest storage over a token generator. */
export interface TokenIssuer {
  /** Answers the TokenRequest with `status` (and defaulted `spec`) filled in. The service account exists. Throws StatusErrors. */
  issue(request: TokenIssueRequest, signal: AbortSignal): MaybePromise<KubeObject>;
}
export interface TokenIssueRequest {
  readonly serviceAccount: KubeObject;
  /** `authentication.k8s.io/v1` TokenRequest, decoded and defaulted. */
  readonly tokenRequest: KubeObject;
  readonly user: UserInfo;
  /** Objects a token may be bound to. */
  readonly objects: ObjectReader;
  /** Adds a `Warning` header to the answer. */
  warn?(message: string): void;
  /** Adds an annotation to the audit event. */
  annotate?(key: string, value: string): void;
}

/* ---------------------------------------------------------------- may they */

/** upstream's `authorizer.Attributes`. */
export interface AuthorizationAttributes extends RequestInfo {
  readonly user: UserInfo;
}
export type Decision = 'allow' | 'deny' | 'noOpinion';
export interface AuthorizationResult {
  readonly decision: Decision;
  /** For the audit log and for reviews: `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to User "z"`. */
  readonly reason: string;
  /** A part of the question could not be answered. */
  readonly error?: string | undefined;
}
export interface Authorizer {
  authorize(attributes: AuthorizationAttributes, signal: AbortSignal): MaybePromise<AuthorizationResult>;
}
/** What SelfSubjectRulesReview prints. */
export interface RuleResolver {
  rulesFor(user: UserInfo, namespace: string, signal: AbortSignal): MaybePromise<SubjectRules>;
}
export interface SubjectRules {
  readonly resourceRules: readonly { readonly verbs: readonly string[]; readonly apiGroups?: readonly string[]; readonly resources?: readonly string[]; readonly resourceNames?: readonly string[] }[];
  readonly nonResourceRules: readonly { readonly verbs: readonly string[]; readonly nonResourceURLs?: readonly string[] }[];
  readonly incomplete: boolean;
  readonly evaluationError?: string | undefined;
}

/* ---------------------------------------------------------------- admission */

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** What both phases see: upstream's `admission.Attributes`. */
/** What a request has waited for that is no work of the server's own, in milliseconds. */
export interface RequestWaits {
  /** For a seat of its priority level. */
  queue: number;
  /** For mutating webhooks, one after the other. */
  mutating: number;
  /** For the slowest of the validating webhooks, which are asked side by side. */
  validating: number;
}
export interface AdmissionAttributes {
  readonly operation: AdmissionOperation;
  readonly resource: ResourceInfo;
  /** '' for the main resource. */
  readonly subresource: string;
  /** Kind of {@link object}: differs from the resource's for subresources such as `scale` or `binding`. */
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  /** '' for cluster-scoped objects; the namespace's own name for requests on namespaces. */
  readonly namespace: string;
  /** '' for a create whose name is still to be generated. */
  readonly name: string;
  /** The new object; undefined for DELETE. For CONNECT the options (`PodExecOptions`, …). */
  readonly object: KubeObject | undefined;
  /** The stored object, for UPDATE and DELETE. Never changed. */
  readonly oldObject: KubeObject | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions of the request. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  readonly user: UserInfo;
  /** Adds a `Warning` header to the answer. */
  warn(message: string): void;
  /** An annotation of the audit event: `podsecurity.kubernetes.io/enforce-policy`, … */
  annotate(key: string, value: string): void;
  /** Where webhooks write down how long they took. */
  readonly waits?: RequestWaits | undefined;
}
export interface MutableAdmissionAttributes extends AdmissionAttributes {
  /** Private to the request: plugins change it in place. */
  readonly object: Draft<KubeObject> | undefined;
}
export interface AdmissionPlugin {
  /** Upstream's name: `NamespaceLifecycle`. */
  readonly name: string;
  handles(operation: AdmissionOperation): boolean;
  /** Mutating phase. Throws to refuse. */
  admit?(attributes: MutableAdmissionAttributes, signal: AbortSignal): MaybePromise<void>;
  /** Validating phase: sees the final object. Throws to refuse. */
  validate?(attributes: AdmissionAttributes, signal: AbortSignal): MaybePromise<void>;
}

/* ---------------------------------------------------------------- the cluster's own objects */

export interface ObjectChange<T extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
  readonly previous?: T | undefined;
}
/** The watch caches, read without a copy: what RBAC, the Node authorizer and admission plugins look things up in. */
export interface ObjectReader {
  /** The newest committed object, or undefined. */
  get<T extends KubeObject>(resource: ResourceInfo, namespace: string, name: string): T | undefined;
  /** All objects of one namespace, or of all for ''. */
  list<T extends KubeObject>(resource: ResourceInfo, namespace?: string): readonly T[];
  /** Calls back after every commit, in order, from now on. Returns the unsubscriber. */
  subscribe<T extends KubeObject>(resource: ResourceInfo, listener: (change: ObjectChange<T>) => void): () => void;
}

/** The shape of `#client/transport.ts`'s ApiCall, which this layer may not import. */
export interface ApiCallLike {
  readonly verb: 'get' | 'list' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
  readonly resource: { readonly group: string; readonly version: string; readonly plural: string; readonly namespaced: boolean };
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  readonly body?: unknown;
  readonly patchType?: string | undefined;
}
/** Calls of the API server to itself, as `system:apiserver`: the whole pipeline, no sockets. */
export interface Loopback {
  call(call: ApiCallLike, signal?: AbortSignal): Promise<unknown>;
}
