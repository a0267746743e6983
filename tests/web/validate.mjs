// node validate.mjs FILE.glb: what Khronos' validator says, and the names in the file, as one JSON object.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import validator from 'gltf-validator';

const bytes = new Uint8Array(await readFile(process.argv[2]));
const report = await validator.validateBytes(bytes, { maxIssues: 100 });
const jsonLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
const gltf = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + jsonLength)));
const imageOf = (texture) => (texture ? gltf.images[gltf.textures[texture.index].source].name : null);

console.log(JSON.stringify({
  errors: report.issues.numErrors,
  warnings: report.issues.numWarnings,
  messages: report.issues.messages.map(({ code, message, pointer }) => `${code} ${pointer ?? ''}: ${message}`),
  targetNames: gltf.meshes.map((mesh) => mesh.extras?.targetNames ?? []),
  targetCounts: gltf.meshes.map((mesh) => mesh.primitives.map((primitive) => (primitive.targets ?? []).length)),
  weights: gltf.meshes.map((mesh) => mesh.weights ?? []),
  joints: (gltf.skins ?? []).map((skin) => skin.joints.map((index) => gltf.nodes[index].name)),
  jointRotations: (gltf.skins ?? []).map((skin) => skin.joints.map((index) => gltf.nodes[index].rotation ?? null)),
  materials: (gltf.materials ?? []).map((material) => ({
    name: material.name,
    alphaMode: material.alphaMode ?? 'OPAQUE',
    normal: imageOf(material.normalTexture),
    occlusion: imageOf(material.occlusionTexture),
    roughnessAndMetal: imageOf(material.pbrMetallicRoughness?.metallicRoughnessTexture),
  })),
  images: (gltf.images ?? []).map((image) => image.mimeType),
  copyright: gltf.asset.copyright ?? '',
}));
