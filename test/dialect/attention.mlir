// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK-LABEL: func @rope
// CHECK: ds.rope %{{.+}}, %{{.+}} heads 8 <half_split, dims = 8, theta = 1.000000e+04 : f64> : tensor<?x64xbf16>
// CHECK: ds.rope %{{.+}}, %{{.+}} heads 4 <interleaved, dims = 4, theta = 5.000000e+05 : f64, scaling = {factor = 8.000000e+00 : f64, high_freq_factor = 4.000000e+00 : f64, low_freq_factor = 1.000000e+00 : f64, original_max_position_embeddings = 8192 : i64, type = "llama3"}> : tensor<?x64xbf16>
// CHECK: ds.rope %{{.+}}, %{{.+}} heads 4 <half_split, dims = 16, theta = 1.000000e+04 : f64, scaling = {factor = 2.000000e+00 : f64, type = "linear"}> : tensor<?x64xbf16>
// CHECK: ds.rope %{{.+}}, %{{.+}} heads 4 <interleaved, dims = 8, theta = 1.000000e+04 : f64, first = 8, scaling = {factor = 4.000000e+01 : f64, original_max_position_embeddings = 4096 : i64, type = "yarn"}> : tensor<?x64xbf16>
func.func @rope(%x: tensor<?x64xbf16>, %s: !ds.seq) -> tensor<?x64xbf16> {
  %y = ds.rope %x, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
  %z = ds.rope %y, %s heads 4 <interleaved, dims = 4, theta = 5.0e5 : f64, scaling = {type = "llama3", factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position_embeddings = 8192}> : tensor<?x64xbf16>
  %w = ds.rope %z, %s heads 4 <half_split, dims = 16, theta = 1.0e4 : f64, scaling = {type = "linear", factor = 2.0}> : tensor<?x64xbf16>
  %v = ds.rope %w, %s heads 4 <interleaved, dims = 8, theta = 1.0e4 : f64, first = 8, scaling = {type = "yarn", factor = 40.0, original_max_position_embeddings = 4096}> : tensor<?x64xbf16>
  return %v : tensor<?x64xbf16>
}

// CHECK-LABEL: func @append
// CHECK: ds.append %{{.+}}, %{{.+}}, %{{.+}} : <[2, 8], bf16>, tensor<?x16xbf16>
// CHECK: ds.append %{{.+}}, %{{.+}}, %{{.+}} : <[16], bf16>, tensor<?x16xbf16>
func.func @append(%x: tensor<?x16xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %l: !ds.state<[16], bf16>) -> (!ds.state<[2, 8], bf16>, !ds.state<[16], bf16>) {
  %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
  %l1 = ds.append %l, %x, %s : !ds.state<[16], bf16>, tensor<?x16xbf16>
  return %k1, %l1 : !ds.state<[2, 8], bf16>, !ds.state<[16], bf16>
}

// Values may have other dims than keys.
// CHECK-LABEL: func @attend
// CHECK: ds.attend %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} heads 8 scale 3.530000e-01
func.func @attend(%q: tensor<?x64xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 4], bf16>) -> tensor<?x32xbf16> {
  %y = ds.attend %q, %k, %v, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 4], bf16>) -> tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// CHECK-LABEL: func @rope_append
// CHECK: ds.rope_append %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} heads 8 <half_split, dims = 8, theta = 1.000000e+04 : f64>
func.func @rope_append(%x: tensor<?x96xbf16>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
  %q, %k1, %v1 = ds.rope_append %x, %k, %v, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
  return %q, %k1, %v1 : tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
}
