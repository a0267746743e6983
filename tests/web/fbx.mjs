// node fbx.mjs FILE.fbx: read the file with three.js' FBXLoader and print what is in it as one JSON object.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { Box3, Matrix3, Vector3 } from 'three';

// Pictures are not looked at: the loader asks the browser to load them, and here nothing answers.
globalThis.window = globalThis;
globalThis.document = { createElementNS: () => ({ addEventListener() {}, removeEventListener() {} }) };
const { FBXLoader } = await import('three/addons/loaders/FBXLoader.js');

const content = await readFile(process.argv[2]);
const warnings = [];
console.warn = (...words) => { warnings.push(words.join(' ')); };
const scene = new FBXLoader().parse(content.buffer.slice(content.byteOffset, content.byteOffset + content.length), '');
scene.updateMatrixWorld(true);

const list = (vector) => vector.toArray().map((value) => Number(value.toFixed(5)));
const skinned = [];
const bones = {};
scene.traverse((item) => {
  if (item.isBone) {
    const [x, y, z] = [new Vector3(), new Vector3(), new Vector3()];
    item.matrixWorld.extractBasis(x, y, z);
    // a bone that bends several meshes gets another of its name around it for each
    let { parent } = item;
    while (parent?.isBone && parent.name === item.name) parent = parent.parent;
    bones[item.name] = {
      parent: parent?.name ?? null,
      at: list(new Vector3().setFromMatrixPosition(item.matrixWorld)),
      axes: [x, y, z].map((axis) => list(axis.normalize())),
    };
  }
  if (!item.isSkinnedMesh) return;
  const { position, skinWeight, skinIndex } = item.geometry.attributes;
  const box = new Box3().setFromBufferAttribute(position).applyMatrix4(item.matrixWorld);
  let [least, most] = [Infinity, 0];
  const used = new Set();
  for (let vertex = 0; vertex < skinWeight.count; vertex += 1) {
    let sum = 0;
    for (let index = 0; index < 4; index += 1) {
      const weight = skinWeight.getComponent(vertex, index);
      sum += weight;
      if (weight > 0) used.add(item.skeleton.bones[skinIndex.getComponent(vertex, index)].name);
    }
    [least, most] = [Math.min(least, sum), Math.max(most, sum)];
  }
  const moves = {}; // where the vertex that a morph moves most goes
  for (const [name, index] of Object.entries(item.morphTargetDictionary ?? {})) {
    const morph = item.geometry.morphAttributes.position[index];
    const [move, far] = [new Vector3(), new Vector3()];
    for (let vertex = 0; vertex < morph.count; vertex += 1) {
      if (move.fromBufferAttribute(morph, vertex).length() > far.length()) far.copy(move);
    }
    moves[name] = list(far.applyMatrix3(new Matrix3().setFromMatrix4(item.matrixWorld)));
  }
  // the pose that the file shows must be the one it is bound in
  const [rest, shown] = [new Vector3(), new Vector3()];
  let bent = 0;
  for (let vertex = 0; vertex < position.count; vertex += 97) {
    rest.fromBufferAttribute(position, vertex);
    item.getVertexPosition(vertex, shown);
    bent = Math.max(bent, rest.distanceTo(shown));
  }
  skinned.push({
    name: item.name,
    low: list(box.min),
    high: list(box.max),
    materials: [].concat(item.material).map((material) => material.name),
    weights: [least, most],
    used: [...used].sort(),
    moves,
    bent,
  });
});
console.log(JSON.stringify({ bones, skinned, warnings }));
