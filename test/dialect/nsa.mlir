// RUN: ds-opt %s | ds-opt | FileCheck %s

// CHECK-LABEL: func.func @layer
// CHECK-SAME: !ds.state<[2, 24], bf16 every 4>
func.func @layer(%q: tensor<?x192xbf16>, %k: !ds.state<[2, 24], bf16>,
                 %e: !ds.state<[2, 24], bf16 every 4>,
                 %v: !ds.state<[2, 16], bf16 every 4>, %s: !ds.seq,
                 %p: tensor<8x24xbf16>, %w: tensor<24x192xbf16>)
    -> (tensor<?x128xbf16>, tensor<?x10xi32>) {
  %c = ds.view_seq %s blocks
  // CHECK: ds.gather_blocks %{{.*}} length 8 stride 4
  %r = ds.gather_blocks %k, %p, %c length 8 stride 4
      : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
  %x = ds.linear %r, %w : (tensor<?x192xbf16>, tensor<24x192xbf16>) -> tensor<?x24xbf16>
  // CHECK: ds.append_blocks
  %e1 = ds.append_blocks %e, %x, %c : !ds.state<[2, 24], bf16 every 4>, tensor<?x24xbf16>
  // CHECK: ds.sparse_attend {{.*}} from entries 8
  %y, %l = ds.sparse_attend %q, %e1, %v, %s heads 8 scale 0.2 from entries 8
      : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16 every 4>, !ds.state<[2, 16], bf16 every 4>, !ds.seq)
     -> (tensor<?x128xbf16>, tensor<?x8xf32>)
  // CHECK: ds.select_blocks {{.*}} count 5 initial 1 local 2
  %b = ds.select_blocks %q, %e1, %l, %s heads 8 scale 0.2 length 8 block 16 count 5
      initial 1 local 2
      : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16 every 4>, tensor<?x8xf32>, !ds.seq)
     -> tensor<?x10xi32>
  return %y, %b : tensor<?x128xbf16>, tensor<?x10xi32>
}
