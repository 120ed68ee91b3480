/** What the built-in signers sign. Source: reference/access-authn-authz/certificate-signing-requests, "Kubernetes signers". */
export const API_CLIENT = 'kubernetes.io/kube-apiserver-client';
export const KUBELET_CLIENT = 'kubernetes.io/kube-apiserver-client-kubelet';
export const KUBELET_SERVING = 'kubernetes.io/kubelet-serving';
export const LEGACY = 'kubernetes.io/legacy-unknown';

/** What a request asks for, its signature verified. */
export interface RequestContents {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
}
/** Holds the key of the cluster's authority. */
export interface CertificateSigner {
  /** Rejects for what is no request, or not signed by its own key. */
  inspect(pem: string): Promise<RequestContents>;
  /** A PEM certificate. `usages` are those of the API: `digital signature`, `client auth`. */
  sign(pem: string, options: { readonly usages: readonly string[]; readonly lifetimeMs: number }): Promise<string>;
}

/** Exactly those usages, `key encipherment` as well or not. */
function checkUsages(usages: readonly string[], required: readonly string[]): string | undefined {
  const rest = usages.filter((u) => u !== 'key encipherment');
  return rest.length === required.length && required.every((u) => rest.includes(u)) ? undefined : `usages did not match [${[...required, 'key encipherment'].toSorted().join(' ')}]`;
}
function checkNode({ commonName, organizations }: RequestContents): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes') return 'subject organization is not system:nodes';
  return commonName.startsWith('system:node:') ? undefined : 'subject common name does not begin with system:node:';
}
export function kubeletClientProblem(request: RequestContents, usages: readonly string[]): string | undefined {
  if (request.organizations.length !== 1 || request.organizations[0] !== 'system:nodes') return 'subject organization is not system:nodes';
  if (request.dnsNames.length) return 'DNS subjectAltNames are not allowed';
  if (request.emails.length) return 'Email subjectAltNames are not allowed';
  if (request.ipAddresses.length) return 'IP subjectAltNames are not allowed';
  if (request.uris.length) return 'URI subjectAltNames are not allowed';
  return checkNode(request) ?? checkUsages(usages, ['digital signature', 'client auth']);
}
export function kubeletServingProblem(request: RequestContents, usages: readonly string[]): string | undefined {
  if (request.organizations.length !== 1 || request.organizations[0] !== 'system:nodes') return 'subject organization is not system:nodes';
  if (request.dnsNames.length + request.ipAddresses.length === 0) return 'DNS or IP subjectAltName is required';
  if (request.emails.length) return 'Email subjectAltNames are not allowed';
  if (request.uris.length) return 'URI subjectAltNames are not allowed';
  return checkUsages(usages, ['digital signature', 'server auth']) ?? checkNode(request);
}
function apiClientProblem(usages: readonly string[]): string | undefined {
  const foreign = usages.find((u) => !['digital signature', 'key encipherment', 'client auth'].includes(u));
  if (foreign !== undefined) return `invalid usage for client certificate: ${foreign}`;
  return usages.includes('client auth') ? undefined : 'missing required usage for client certificate: client auth';
}
/** Why a signer does not sign a request; undefined when it does. */
export function signingProblem(signerName: string, request: RequestContents, usages: readonly string[]): string | undefined {
  switch (signerName) {
    case KUBELET_CLIENT:
      return kubeletClientProblem(request, usages);
    case KUBELET_SERVING:
      return kubeletServingProblem(request, usages);
    case API_CLIENT:
      return apiClientProblem(usages);
    default:
      return undefined;
  }
}
