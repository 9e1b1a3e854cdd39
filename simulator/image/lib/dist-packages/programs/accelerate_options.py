"""The options of `accelerate launch` 1.6.0. Names, types and choices as its own parser has them."""

from __future__ import annotations

import argparse

_BACKENDS = (
    "no eager aot_eager inductor aot_ts_nvfuser nvprims_nvfuser cudagraphs ofi fx2trt onnxrt tensorrt "
    "aot_torchxla_trace_once torchxla_trace_once ipex tvm hpu_backend"
)
_FLAGS = (
    "cpu multi_gpu tpu ipex enable_cpu_affinity dynamo_use_fullgraph dynamo_use_dynamic "
    "use_deepspeed use_fsdp use_tp "
    "use_megatron_lm use_xpu same_network no_python tpu_cluster no_tpu_cluster tpu_use_sudo downcast_bf16 "
    "fp8_use_autocast_during_eval debug"
)
_INTEGERS = (
    "num_processes num_machines num_cpu_threads_per_process machine_rank main_process_port "
    "max_restarts zero_stage "
    "gradient_accumulation_steps fsdp_min_num_params tp_size megatron_lm_tp_degree megatron_lm_pp_degree "
    "megatron_lm_num_micro_batches fp8_margin fp8_interval fp8_amax_history_len mpirun_ccl"
)
_FLOATS = "monitor_interval gradient_clipping megatron_lm_gradient_clipping"
_STRINGS = (
    "config_file dynamo_mode gpu_ids main_process_ip log_dir role rdzv_backend rdzv_conf vm "
    "env main_training_function "
    "deepspeed_config_file offload_optimizer_device offload_param_device offload_optimizer_nvme_path "
    "offload_param_nvme_path zero3_init_flag zero3_save_16bit_model deepspeed_hostfile "
    "deepspeed_exclusion_filter "
    "deepspeed_inclusion_filter deepspeed_multinode_launcher deepspeed_moe_layer_cls_names fsdp_version "
    "fsdp_offload_params fsdp_sharding_strategy fsdp_reshard_after_forward fsdp_auto_wrap_policy "
    "fsdp_transformer_layer_cls_to_wrap fsdp_backward_prefetch fsdp_state_dict_type fsdp_forward_prefetch "
    "fsdp_use_orig_params fsdp_cpu_ram_efficient_loading fsdp_sync_module_states "
    "fsdp_activation_checkpointing "
    "megatron_lm_sequence_parallelism megatron_lm_recompute_activations "
    "megatron_lm_use_distributed_optimizer "
    "fp8_backend fp8_format fp8_amax_compute_algo fp8_override_linear_precision fp8_opt_level "
    "aws_access_key_id "
    "aws_secret_access_key mpirun_hostfile"
)


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the launcher's options, the script, and all that follows it."""
    parser.add_argument("-h", "--help", action="help")
    parser.add_argument("--quiet", "-q", action="store_true")
    parser.add_argument("-m", "--module", action="store_true")
    parser.add_argument("-t", "--tee", default="0")
    parser.add_argument(*_spellings("mixed_precision"), choices=["no", "fp16", "bf16", "fp8"])
    parser.add_argument(*_spellings("dynamo_backend"), choices=_BACKENDS.split())
    for name in _FLAGS.split():
        parser.add_argument(*_spellings(name), action="store_true")
    for names, kind in ((_INTEGERS, int), (_FLOATS, float), (_STRINGS, str)):
        for name in names.split():
            parser.add_argument(*_spellings(name), type=kind)
    parser.add_argument("training_script")
    parser.add_argument("training_script_args", nargs=argparse.REMAINDER)


def _spellings(name: str) -> list[str]:
    hyphens = name.replace("_", "-")
    return [f"--{name}"] if hyphens == name else [f"--{name}", f"--{hyphens}"]
