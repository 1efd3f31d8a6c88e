// RUN: ds-opt --ds-assign-layouts %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-assign-layouts %t | diff %t -

// CHECK: ds.weight @tied layout panel_bf16 {{.*}} : tensor<301x64xbf16>
// CHECK: ds.weight @table layout raw {{.*}} : tensor<301x64xbf16>
// CHECK: ds.weight @norm layout vector_f32 {{.*}} : tensor<64xbf16>
// CHECK: ds.weight @bias layout vector_f32 {{.*}} : tensor<301xbf16>
// CHECK: ds.weight @wide layout panel_f32 {{.*}} : tensor<64x64xbf16>
// CHECK: ds.weight @fp8 layout panel_e4m3 {{.*}} : tensor<64x64xf8E4M3FN>
// CHECK: ds.weight @unused {labels
ds.weight @tied {labels = ["a"], rows = array<i64: 301>} : tensor<301x64xbf16>
ds.weight @table {labels = ["b"], rows = array<i64: 301>} : tensor<301x64xbf16>
ds.weight @norm {labels = ["c"], rows = array<i64: 64>} : tensor<64xbf16>
ds.weight @bias {labels = ["d"], rows = array<i64: 301>} : tensor<301xbf16>
ds.weight @wide {labels = ["e"], rows = array<i64: 64>} : tensor<64x64xbf16>
ds.weight @fp8 {labels = ["g"], rows = array<i64: 64>} : tensor<64x64xf8E4M3FN>
ds.weight @unused {labels = ["f"], rows = array<i64: 64>} : tensor<64x64xbf16>

// CHECK-LABEL: func @f
// CHECK: ds.get_weight @norm : tensor<64xf32>
// CHECK: ds.get_weight @bias : tensor<301xf32>
// CHECK: ds.get_weight @wide : tensor<64x64xf32>
// CHECK: ds.get_weight @fp8 : tensor<64x64xf8E4M3FN>
func.func @f(%s: !ds.seq) -> (tensor<?x301xf32>, tensor<?x64xf32>, tensor<?x64xbf16>) {
  %tied = ds.get_weight @tied : tensor<301x64xbf16>
  %table = ds.get_weight @table : tensor<301x64xbf16>
  %norm = ds.get_weight @norm : tensor<64xbf16>
  %bias = ds.get_weight @bias : tensor<301xbf16>
  %wide = ds.get_weight @wide : tensor<64x64xbf16>
  %fp8 = ds.get_weight @fp8 : tensor<64x64xf8E4M3FN>
  %x = ds.embedding %tied, %s : tensor<301x64xbf16> -> tensor<?x64xf32>
  %y = ds.embedding %table, %s : tensor<301x64xbf16> -> tensor<?x64xf32>
  %h = ds.rms_norm %x, %norm eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
  %l = ds.linear %h, %tied bias %bias : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<301xbf16>) -> tensor<?x301xf32>
  %z = ds.linear %y, %wide : (tensor<?x64xf32>, tensor<64x64xbf16>) -> tensor<?x64xf32>
  %e = ds.linear %h, %fp8 : (tensor<?x64xbf16>, tensor<64x64xf8E4M3FN>) -> tensor<?x64xbf16>
  return %l, %z, %e : tensor<?x301xf32>, tensor<?x64xf32>, tensor<?x64xbf16>
}
