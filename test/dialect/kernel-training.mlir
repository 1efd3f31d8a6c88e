// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK-LABEL: func @maps
// CHECK: ds.kernel.row @row(%{{.+}}, %{{.+}}, %{{.+}}) : (tensor<?x40xf32>, tensor<40xf32>, tensor<?x1xf32>) -> (tensor<?x40xbf16>, tensor<?x1xf32>)
// CHECK: ds.kernel.elementwise @scale(%{{.+}}, %{{.+}}) : (tensor<?x40xf32>, tensor<?x1xf32>) -> tensor<?x40xf32>
// CHECK: ds.kernel.elementwise @pairs(%{{.+}}, %{{.+}}) pairs : (tensor<?x96xbf16>, tensor<?x40xf32>) -> (tensor<?x96xbf16>, tensor<?x40xf32>)
// CHECK: ds.kernel.columns @columns(%{{.+}}, %{{.+}}) into %{{.+}} : (tensor<?x40xf32>, tensor<?x1xf32>) -> tensor<40xf32>
func.func @maps(%x: tensor<?x40xf32>, %w: tensor<40xf32>, %r: tensor<?x1xf32>, %gu: tensor<?x96xbf16>) {
  %y, %s = ds.kernel.row @row(%x, %w, %r) : (tensor<?x40xf32>, tensor<40xf32>, tensor<?x1xf32>) -> (tensor<?x40xbf16>, tensor<?x1xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %sum = ds.row_reduce %p : f32
    %q = arith.mulf %sum, %c : f32
    %t = arith.truncf %p : f32 to bf16
    ds.yield %t, %q : bf16, f32
  }
  %z = ds.kernel.elementwise @scale(%x, %s) : (tensor<?x40xf32>, tensor<?x1xf32>) -> tensor<?x40xf32> {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    ds.yield %p : f32
  }
  %d, %e = ds.kernel.elementwise @pairs(%gu, %z) pairs : (tensor<?x96xbf16>, tensor<?x40xf32>) -> (tensor<?x96xbf16>, tensor<?x40xf32>) {
  ^bb0(%g: bf16, %u: bf16, %f: f32):
    ds.yield %u, %g, %f : bf16, bf16, f32
  }
  ds.kernel.columns @columns(%z, %s) into %w : (tensor<?x40xf32>, tensor<?x1xf32>) -> tensor<40xf32> {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    ds.yield %p : f32
  }
  return
}

// CHECK-LABEL: func @losses
// CHECK: ds.kernel.log_prob @p %{{.+}}, %{{.+}}, %{{.+}} : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
// CHECK: ds.kernel.log_prob_backward @d %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x301xbf16>
func.func @losses(%z: tensor<?x301xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) {
  %p, %lse = ds.kernel.log_prob @p %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %d = ds.kernel.log_prob_backward @d %z, %t, %i, %lse, %p : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x301xbf16>
  return
}

// CHECK-LABEL: func @rows
// CHECK: ds.kernel.scatter_embedding @embed %{{.+}}, %{{.+}} into %{{.+}} : tensor<?x64xf32> -> tensor<301x64xf32>
// CHECK: ds.kernel.gather_rows @gather %{{.+}}, %{{.+}} : tensor<?x64xf32> -> tensor<?x64xf32>
// CHECK: ds.kernel.scatter_rows @scatter %{{.+}}, %{{.+}} : tensor<?x64xf32> -> tensor<?x64xf32>
// CHECK: ds.kernel.concat_heads @turn(%{{.+}}, %{{.+}}) angles(%{{.+}} : tensor<?x8xf32>) <half_split, dims = 8, theta = 1.000000e+04 : f64> [#ds.heads_part<heads = 4, dim = 16, rotate = true>, #ds.heads_part<heads = 1, dim = 64, rotate = false>] : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x128xf32>
// CHECK: ds.kernel.concat_heads @concat(%{{.+}}, %{{.+}}) [#ds.heads_part<heads = 1, dim = 64, rotate = false>, #ds.heads_part<heads = 1, dim = 64, rotate = false>] : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x128xf32>
func.func @rows(%x: tensor<?x64xf32>, %g: tensor<301x64xf32>, %a: tensor<?x8xf32>, %s: !ds.seq) {
  ds.kernel.scatter_embedding @embed %x, %s into %g : tensor<?x64xf32> -> tensor<301x64xf32>
  %y = ds.kernel.gather_rows @gather %x, %s : tensor<?x64xf32> -> tensor<?x64xf32>
  %z = ds.kernel.scatter_rows @scatter %y, %s : tensor<?x64xf32> -> tensor<?x64xf32>
  %b = ds.kernel.concat_heads @turn(%x, %z) angles(%a : tensor<?x8xf32>) <half_split, dims = 8, theta = 1.0e4 : f64> [#ds.heads_part<heads = 4, dim = 16, rotate = true>, #ds.heads_part<heads = 1, dim = 64, rotate = false>] : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x128xf32>
  %c = ds.kernel.concat_heads @concat(%x, %z) [#ds.heads_part<heads = 1, dim = 64, rotate = false>, #ds.heads_part<heads = 1, dim = 64, rotate = false>] : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x128xf32>
  return
}

// CHECK-LABEL: func @update
// CHECK: ds.kernel.square_sum @sum %{{.+}} into %{{.+}} : tensor<64x74xf32>, tensor<?xf32>
// CHECK: ds.kernel.adamw @matrix %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} layout panel_bf16 : tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xbf16>, tensor<16xf32>
// CHECK: ds.kernel.adamw @vector {{.*}} layout vector_f32
func.func @update(%p: tensor<64x74xf32>, %w: tensor<64x74xbf16>, %v: tensor<40xf32>, %h: tensor<16xf32>, %sums: tensor<?xf32>) {
  ds.kernel.square_sum @sum %p into %sums : tensor<64x74xf32>, tensor<?xf32>
  ds.kernel.adamw @matrix %p, %p, %p, %p, %w, %h layout panel_bf16 : tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xbf16>, tensor<16xf32>
  ds.kernel.adamw @vector %v, %v, %v, %v, %v, %h layout vector_f32 : tensor<40xf32>, tensor<40xf32>, tensor<40xf32>, tensor<40xf32>, tensor<40xf32>, tensor<16xf32>
  return
}
