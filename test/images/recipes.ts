/**
 * The images that tutorials name, made of Debian packages: none of them is the upstream image, and each says so, with the
 * version that is truly inside, in its labels. An old tag that Debian does not have stands for the nearest version it has.
 */
import type { ImageConfig } from '#cluster/runtime/oci-image.ts';
import { pauseProgram } from '#cluster/runtime/pause-image.ts';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import type { TarEntry } from '#cluster/runtime/tar.ts';

/** Packages that go into a layer of their own; what an earlier layer of the image has is not repeated. */
export interface LayerRecipe {
  readonly packages: readonly string[];
  /** Paths to take; everything without it. */
  readonly only?: RegExp;
  readonly files?: (unpacked: readonly TarEntry[]) => TarEntry[];
}
export interface Recipe {
  /** Complete names. */
  readonly names: readonly string[];
  readonly suite: 'bookworm' | 'trixie';
  readonly layers: readonly LayerRecipe[];
  /** The package whose version the label tells, or that version. */
  readonly version: { readonly package: string } | { readonly text: string };
  /** Programs whose libraries must all be there. */
  readonly programs: readonly string[];
  readonly config: ImageConfig;
}

/** Needed by maintainer scripts and by optional parts only; no script is run, and `checkLibraries` tells when a part is missed. */
export const DROPPED = /^(debconf|cdebconf|perl-base|perl|perl-modules-.*|libperl5.*|libgdbm.*|dpkg|tar|init-system-helpers|ucf|sysvinit-utils|openssl|openssl-provider-legacy|iproute2|gcc-.*-base|lua5.*|readline-common)$/;

const file = (name: string, text: string, mode = 0o644): TarEntry => ({ name, mode, data: Buffer.from(text) });
const dir = (name: string, mode = 0o755): TarEntry => ({ name, type: 'directory', mode });
const link = (name: string, target: string): TarEntry => ({ name, type: 'symlink', link: target });

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const USERS = [
  'root:x:0:0:root:/root:/bin/bash', 'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin', 'www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin', 'curl_user:x:100:101:curl:/home/curl_user:/bin/sh',
  'nginx:x:101:101:nginx user:/nonexistent:/bin/false', 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
];
const GROUPS = ['root:x:0:', 'daemon:x:1:', 'www-data:x:33:', 'nginx:x:101:', 'nogroup:x:65534:'];

const base: LayerRecipe = {
  packages: ['bash', 'coreutils', 'dash', 'findutils', 'grep', 'hostname', 'libc-bin', 'mawk', 'procps', 'sed'],
  files: () => [file('etc/passwd', `${USERS.join('\n')}\n`), file('etc/group', `${GROUPS.join('\n')}\n`), file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'), link('usr/bin/sh', 'dash'), link('usr/bin/awk', 'mawk'), dir('tmp', 0o1777), dir('root', 0o700), dir('proc'), dir('sys'), dir('dev'), dir('run')],
};
const curl: LayerRecipe = {
  packages: ['curl', 'ca-certificates'],
  files: (unpacked) => {
    const certificates = unpacked.filter((e) => /^usr\/share\/ca-certificates\/mozilla\/.*\.crt$/.test(e.name)).map((e) => Buffer.from(e.data ?? []));
    return [dir('etc/ssl/certs'), { name: 'etc/ssl/certs/ca-certificates.crt', data: Buffer.concat(certificates) }];
  },
};

const NGINX_CONF = `user nginx;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
  access_log /var/log/nginx/access.log main;
  sendfile on;
  keepalive_timeout 65;
  include /etc/nginx/conf.d/*.conf;
}
`;
const NGINX_SITE = `server {
  listen 80;
  listen [::]:80;
  server_name localhost;
  location / {
    root /usr/share/nginx/html;
    index index.html index.htm;
  }
  error_page 500 502 503 504 /50x.html;
  location = /50x.html { root /usr/share/nginx/html; }
}
`;
const page = (title: string, body: string) => `<!DOCTYPE html>\n<html>\n<head><title>${title}</title></head>\n<body>\n${body}\n</body>\n</html>\n`;
const nginx: LayerRecipe = {
  packages: ['nginx', 'media-types'],
  files: () => [
    file('etc/nginx/nginx.conf', NGINX_CONF), dir('etc/nginx/conf.d'), file('etc/nginx/conf.d/default.conf', NGINX_SITE), dir('usr/share/nginx/html'),
    file('usr/share/nginx/html/index.html', page('Welcome to nginx!', '<h1>Welcome to nginx!</h1>')), file('usr/share/nginx/html/50x.html', page('Error', '<h1>An error occurred.</h1>')),
    dir('var/log/nginx'), link('var/log/nginx/access.log', '/dev/stdout'), link('var/log/nginx/error.log', '/dev/stderr'), dir('var/cache/nginx'), dir('var/lib/nginx'),
    file('docker-entrypoint.sh', '#!/bin/sh\nset -e\nexec "$@"\n', 0o755),
  ],
};
const nginxImage = (names: string[], suite: Recipe['suite']): Recipe => ({
  names, suite, layers: [base, curl, nginx], version: { package: 'nginx' }, programs: ['usr/sbin/nginx', 'usr/bin/bash', 'usr/bin/curl', 'usr/bin/ps'],
  config: { Env: [PATH], Entrypoint: ['/docker-entrypoint.sh'], Cmd: ['nginx', '-g', 'daemon off;'], ExposedPorts: { '80/tcp': {} }, StopSignal: 'SIGQUIT' },
});

const HTTPD_CONF = `ServerRoot "/usr/local/apache2"
ServerName localhost
Listen 80
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
User www-data
Group www-data
TypesConfig /etc/mime.types
DocumentRoot "/usr/local/apache2/htdocs"
DirectoryIndex index.html
<Directory />
  Require all granted
</Directory>
ErrorLog /proc/self/fd/2
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog /proc/self/fd/1 common
PidFile logs/httpd.pid
`;
const httpd: LayerRecipe = {
  packages: ['apache2-bin', 'media-types'],
  files: () => [
    ...['usr/local/apache2', 'usr/local/apache2/conf', 'usr/local/apache2/htdocs', 'usr/local/apache2/logs'].map((name) => dir(name)),
    file('usr/local/apache2/conf/httpd.conf', HTTPD_CONF), file('usr/local/apache2/htdocs/index.html', '<html><body><h1>It works!</h1></body></html>\n'), link('usr/local/bin/httpd', '/usr/sbin/apache2'),
    file('usr/local/bin/httpd-foreground', '#!/bin/sh\nset -e\nrm -f /usr/local/apache2/logs/httpd.pid\nexec apache2 -f /usr/local/apache2/conf/httpd.conf -DFOREGROUND "$@"\n', 0o755),
  ],
};

/** The applets of the static program, each a hard link, as in upstream's image. `applets` is what `--list-full` prints. */
const busybox: LayerRecipe = {
  packages: ['busybox-static'],
  only: /^usr\/bin\/busybox$/,
  files: (unpacked) => {
    const data = unpacked.find((e) => e.name === 'usr/bin/busybox')?.data ?? new Uint8Array();
    const dirs = ['bin', 'dev', 'etc', 'home', 'proc', 'sys', 'usr', 'usr/bin', 'usr/sbin', 'var', 'var/spool', 'var/www'].map((name) => dir(name));
    return [...dirs, dir('tmp', 0o1777), dir('root', 0o700), { name: 'bin/busybox', mode: 0o755, data }, file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n'), file('etc/group', 'root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n')];
  },
};
const BUSYBOX_CONFIG: ImageConfig = { Env: [PATH], Cmd: ['sh'] };

const WEATHER_SERVER = `#!/bin/sh
# Listens where ASPNETCORE_URLS says (http://+:8080), and ends on SIGTERM.
port=\${ASPNETCORE_URLS##*:}
port=\${port%%/*}
port=\${port:-8080}
nc -ll -p "$port" -e /app/answer &
trap 'kill $!; exit 0' TERM INT
echo "Now listening on: http://[::]:$port"
wait
`;
const WEATHER_ANSWER = `#!/bin/sh
read -r method path version
while read -r line && [ "$line" != "$(printf '\\r')" ] && [ -n "$line" ]; do :; done
status='200 OK'
case "\${path%%\\?*}" in
/weatherforecast)
  body=''
  now=$(date +%s)
  for day in 1 2 3 4 5; do
    c=$(( (now / 86400 + day * 17) % 55 - 20 ))
    body="$body\${body:+,}{\\"date\\":\\"$(date -u -d @$((now + day * 86400)) +%Y-%m-%d)\\",\\"temperatureC\\":$c,\\"temperatureF\\":$((32 + c * 9 / 5)),\\"summary\\":\\"Mild\\"}"
  done
  body="[$body]" ;;
/healthz) body='{"status":"Healthy"}' ;;
/hostname) body="{\\"hostname\\":\\"$(hostname)\\"}" ;;
*) status='404 Not Found'; body='' ;;
esac
echo "$method $path \${status%% *}" >/proc/1/fd/1
printf 'HTTP/1.1 %s\\r\\nContent-Type: application/json; charset=utf-8\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s' "$status" "\${#body}" "$body"
`;
const weather: LayerRecipe = { packages: [], files: () => [dir('app'), file('app/server', WEATHER_SERVER, 0o755), file('app/answer', WEATHER_ANSWER, 0o755)] };

export const RECIPES: readonly Recipe[] = [
  // Debian's busybox 1.35 crashes in `wget -T`, so that tag, too, has the version that does not.
  { names: ['docker.io/library/busybox:1.35', 'docker.io/library/busybox:1.37', 'docker.io/library/busybox:latest'], suite: 'trixie', layers: [busybox], version: { package: 'busybox-static' }, programs: [], config: BUSYBOX_CONFIG },
  nginxImage(['docker.io/library/nginx:1.21'], 'bookworm'),
  nginxImage(['docker.io/library/nginx:1.28', 'docker.io/library/nginx:latest'], 'trixie'),
  {
    names: ['docker.io/library/httpd:2.4', 'docker.io/library/httpd:latest'], suite: 'trixie', layers: [base, httpd], version: { package: 'apache2-bin' }, programs: ['usr/sbin/apache2', 'usr/lib/apache2/modules/mod_mpm_event.so'],
    config: { Env: [PATH], Cmd: ['httpd-foreground'], WorkingDir: '/usr/local/apache2', StopSignal: 'SIGWINCH', ExposedPorts: { '80/tcp': {} } },
  },
  {
    names: ['docker.io/curlimages/curl:latest'], suite: 'trixie', version: { package: 'curl' }, programs: ['usr/bin/curl'],
    layers: [base, curl, { packages: [], files: () => [dir('home/curl_user', 0o777), file('entrypoint.sh', '#!/bin/sh\ncase "$1" in\n-*) exec curl "$@" ;;\nesac\nif command -v "$1" >/dev/null 2>&1; then exec "$@"; fi\nexec curl "$@"\n', 0o755)] }],
    config: { Env: [PATH, 'CURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt'], Entrypoint: ['/entrypoint.sh'], Cmd: ['curl'], User: '100' },
  },
  // A base image without an application: its shell ends at once where it has no terminal.
  { names: ['mcr.microsoft.com/dotnet/aspnet:10.0'], suite: 'trixie', layers: [busybox], version: { package: 'busybox-static' }, programs: [], config: { Env: [PATH, 'ASPNETCORE_HTTP_PORTS=8080'], Cmd: ['/bin/sh'] } },
  {
    names: ['docker.io/example/weather-api:1'], suite: 'trixie', layers: [busybox, weather], version: { text: '1' }, programs: [],
    config: { Env: [PATH], Cmd: ['/app/server'], ExposedPorts: { '8080/tcp': {} } },
  },
  { names: ['docker.io/example/stop-signal:1'], suite: 'trixie', layers: [busybox], version: { text: '1' }, programs: [], config: { ...BUSYBOX_CONFIG, StopSignal: 'SIGUSR1' } },
  {
    names: ['docker.io/example/distroless:1'], suite: 'trixie', version: { text: '1' }, programs: [],
    layers: [{ packages: [], files: () => [{ name: 'app', mode: 0o755, data: pauseProgram(hostArchitecture()) }] }], config: { Entrypoint: ['/app'], User: '65532:65532' },
  },
];
