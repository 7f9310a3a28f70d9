import { BreakwaterError } from '../../registry/errors.ts';

const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/**
 * The set-up script for a client with systemd; users pipe it to a root shell, often through `sed` recipes that
 * change `docker.service` and append to the one line with `Environment`.
 * @param host the `Host` header: the address by which the client reached the proxy.
 * @throws `REQUEST_MALFORMED` where it is no plain host and port: it would run as root.
 */
export function systemdScript(host: string | undefined): string {
  if (host === undefined || !HOST.test(host)) {
    throw new BreakwaterError('REQUEST_MALFORMED', 'the Host header is no plain host:port');
  }
  return `#!/bin/sh
# Points this machine's container engine at the caching proxy on ${host} and trusts its CA.
# Run as root: curl -fsS http://${host}/setup/systemd | sh
set -eu

mkdir -p /etc/systemd/system/docker.service.d
cat << EOD > /etc/systemd/system/docker.service.d/http-proxy.conf
[Service]
Environment="HTTPS_PROXY=http://${host}/"
EOD

fetch() {
  if command -v curl > /dev/null; then curl -fsS "$1"; else wget -qO- "$1"; fi
}
certificate=$(mktemp)
fetch http://${host}/ca.crt > "$certificate"

# Debian, Ubuntu, Alpine | Red Hat, Fedora | SUSE
if [ -d /usr/local/share/ca-certificates ]; then
  anchors=/usr/local/share/ca-certificates
elif [ -d /etc/pki/ca-trust/source/anchors ]; then
  anchors=/etc/pki/ca-trust/source/anchors
elif [ -d /etc/pki/trust/anchors ]; then
  anchors=/etc/pki/trust/anchors
else
  echo "no known trust store on this machine; add $certificate to it by hand" >&2
  exit 1
fi
install -m 0644 "$certificate" "$anchors/docker_registry_proxy.crt"
rm -f "$certificate"
if command -v update-ca-certificates > /dev/null; then update-ca-certificates; else update-ca-trust; fi

systemctl daemon-reload
systemctl restart docker.service
`;
}
