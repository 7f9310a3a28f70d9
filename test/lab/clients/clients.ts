import type { ClientSettings } from './client.ts';
import { Containerd } from './containerd.ts';
import { Curl } from './curl.ts';
import { Docker } from './docker.ts';
import { Podman } from './podman.ts';
import { Skopeo } from './skopeo.ts';

/** One of each client, with nothing pulled yet; what has a daemon starts it when it is first used. */
export class Clients {
  readonly skopeo: Skopeo;
  readonly podman: Podman;
  readonly docker: Docker;
  readonly containerd: Containerd;
  readonly curl: Curl;

  constructor(settings: ClientSettings) {
    this.skopeo = new Skopeo(settings);
    this.podman = new Podman(settings);
    this.docker = new Docker(settings);
    this.containerd = new Containerd(settings);
    this.curl = new Curl(settings);
  }

  async close(): Promise<void> {
    await Promise.all([this.docker.close(), this.containerd.close()]);
  }
}
