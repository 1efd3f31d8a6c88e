// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK: ds.weight @plain {labels = ["a"], rows = array<i64: 64>} : tensor<64x176xbf16>
// CHECK: ds.weight @layers {labels = ["l.{i}.a", "l.{i}.b"], layers = array<i64: 1, 30>, rows = array<i64: 64, 16>} : tensor<80x176xf32>
// CHECK: ds.weight @pair layout panel_bf16 {labels = ["g", "u"], paired, rows = array<i64: 16, 16>} : tensor<32x64xbf16>
// CHECK: ds.weight @vector layout vector_f32 {labels = ["n"], rows = array<i64: 64>} : tensor<64xbf16>
// CHECK: ds.weight @wide layout panel_f32 {labels = ["w"], rows = array<i64: 64>} : tensor<64x64xbf16>
// CHECK: ds.weight @raw layout raw {labels = ["r"], rows = array<i64: 64>} : tensor<64x64xbf16>
ds.weight @plain {labels = ["a"], rows = array<i64: 64>} : tensor<64x176xbf16>
ds.weight @layers {labels = ["l.{i}.a", "l.{i}.b"], rows = array<i64: 64, 16>, layers = array<i64: 1, 30>} : tensor<80x176xf32>
ds.weight @pair layout panel_bf16 {labels = ["g", "u"], rows = array<i64: 16, 16>, paired} : tensor<32x64xbf16>
ds.weight @vector layout vector_f32 {labels = ["n"], rows = array<i64: 64>} : tensor<64xbf16>
ds.weight @wide layout panel_f32 {labels = ["w"], rows = array<i64: 64>} : tensor<64x64xbf16>
ds.weight @raw layout raw {labels = ["r"], rows = array<i64: 64>} : tensor<64x64xbf16>

// CHECK: ds.weight @copied {copies = ["m.c"], labels = ["c"], rows = array<i64: 64>} : tensor<64x64xbf16>
ds.weight @copied {labels = ["c"], rows = array<i64: 64>, copies = ["m.c"]} : tensor<64x64xbf16>

// The element type is the layout's.
// CHECK-LABEL: func @reads
func.func @reads() -> (tensor<64x176xbf16>, tensor<32x64xbf16>, tensor<64xf32>, tensor<64x64xf32>, tensor<64x64xbf16>) {
  %a = ds.get_weight @plain : tensor<64x176xbf16>
  %b = ds.get_weight @pair : tensor<32x64xbf16>
  %c = ds.get_weight @vector : tensor<64xf32>
  %d = ds.get_weight @wide : tensor<64x64xf32>
  %e = ds.get_weight @raw : tensor<64x64xbf16>
  return %a, %b, %c, %d, %e : tensor<64x176xbf16>, tensor<32x64xbf16>, tensor<64xf32>, tensor<64x64xf32>, tensor<64x64xbf16>
}

// CHECK-LABEL: func private @body
func.func private @body(%x: tensor<?x64xf32>, %s: !ds.seq, %a: tensor<?x8xf32>, %k: !ds.state<[2, 8], bf16>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16>) {
  return %x, %k : tensor<?x64xf32>, !ds.state<[2, 8], bf16>
}

// CHECK-LABEL: func @run
// CHECK: ds.run @body(%{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}) layers 1 count 30
func.func @run(%x: tensor<?x64xf32>, %s: !ds.seq, %a: tensor<?x8xf32>, %k: !ds.state<[2, 8], bf16, layers = 30>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16, layers = 30>) {
  %y, %k1 = ds.run @body(%x, %s, %a, %k) layers 1 count 30 : (tensor<?x64xf32>, !ds.seq, tensor<?x8xf32>, !ds.state<[2, 8], bf16, layers = 30>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16, layers = 30>)
  return %y, %k1 : tensor<?x64xf32>, !ds.state<[2, 8], bf16, layers = 30>
}
