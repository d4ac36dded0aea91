import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../../scripts/run.ts';

export const IMAGE = 'lab.local/busybox:1';

const COMMANDS = ['sh', 'sleep', 'ping', 'httpd', 'wget', 'cat'];
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** Makes an image of the static busybox of this machine below `folder`: an OCI layout as a tar file, whose path is returned. */
export async function makeBusyboxImage(folder: string): Promise<string> {
  const [root, layout] = [join(folder, 'root'), join(folder, 'layout')];
  const blobs = join(layout, 'blobs', 'sha256');
  for (const path of [join(root, 'bin'), join(root, 'www'), join(root, 'tmp'), blobs]) {
    mkdirSync(path, { recursive: true });
  }
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const name of COMMANDS) symlinkSync('busybox', join(root, 'bin', name));
  const tar = join(folder, 'layer.tar');
  await must(['tar', '-C', root, '-cf', tar, '.']);
  const layer = describe(readFileSync(tar));
  renameSync(tar, join(blobs, layer.digest.slice('sha256:'.length)));
  const config = put(blobs, {
    architecture: ARCHITECTURES[process.arch],
    os: 'linux',
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = put(blobs, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
  });
  const annotations = { 'io.containerd.image.name': IMAGE };
  const index = { schemaVersion: 2, manifests: [{ mediaType: MANIFEST_TYPE, ...manifest, annotations }] };
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const image = join(folder, 'image.tar');
  await must(['tar', '-C', layout, '-cf', image, '.']);
  return image;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

function put(blobs: string, document: object): Descriptor {
  const bytes = Buffer.from(JSON.stringify(document));
  const descriptor = describe(bytes);
  writeFileSync(join(blobs, descriptor.digest.slice('sha256:'.length)), bytes);
  return descriptor;
}

function describe(bytes: Buffer): Descriptor {
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, size: bytes.length };
}
