"""Tensor operations: tensors in, tensors out, each with a readable reference beside its fast backends."""

if __name__ != "statespace.kernels":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.kernels, after Looking in indexes: https://pypi.org/simple, file:///opt/pypi/simple, file:///opt/pypi-more/simple
Looking in links: /opt/wheels
Obtaining file:///work/main
  Installing build dependencies: started
  Installing build dependencies: finished with status 'done'
  Checking if build backend supports build_editable: started
  Checking if build backend supports build_editable: finished with status 'done'
  Getting requirements to build editable: started
  Getting requirements to build editable: finished with status 'done'
  Preparing editable metadata (pyproject.toml): started
  Preparing editable metadata (pyproject.toml): finished with status 'done'
Collecting torch>=2.6 (from statespace==0.1.0)
  Downloading torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (539.1 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 539.1/539.1 MB 71.7 MB/s eta 0:00:00
Requirement already satisfied: numpy>=1.26 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (2.4.6)
Requirement already satisfied: scipy>=1.12 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (1.17.1)
Collecting pandas>=2.2 (from statespace==0.1.0)
  Downloading pandas-3.1.1-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl (12.4 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 12.4/12.4 MB 371.3 MB/s eta 0:00:00
Processing /opt/pypi/files/lightning-2.6.6-py3-none-any.whl (from statespace==0.1.0)
Collecting jsonargparse[signatures]>=4.37 (from statespace==0.1.0)
  Downloading jsonargparse-4.53.0-py3-none-any.whl (177 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 177.6/177.6 kB 263.7 MB/s eta 0:00:00
Processing /opt/pypi/files/safetensors-0.8.0-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (from statespace==0.1.0)
Requirement already satisfied: PyYAML>=3.13 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jsonargparse[signatures]>=4.37->statespace==0.1.0) (6.0.3)
Processing /opt/pypi/files/docstring_parser-0.18.0-py3-none-any.whl (from jsonargparse[signatures]>=4.37->statespace==0.1.0)
Collecting typeshed-client>=2.8.2 (from jsonargparse[signatures]>=4.37->statespace==0.1.0)
  Downloading typeshed_client-2.14.0-py3-none-any.whl (803 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 803.9/803.9 kB 343.8 MB/s eta 0:00:00
Processing /opt/pypi/files/fsspec-2026.9.0-py3-none-any.whl (from lightning>=2.6.4->statespace==0.1.0)
Processing /opt/pypi/files/lightning_utilities-0.15.3-py3-none-any.whl (from lightning>=2.6.4->statespace==0.1.0)
Requirement already satisfied: packaging<27.0,>=23.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (26.2)
Processing /opt/pypi/files/torchmetrics-1.9.0-py3-none-any.whl (from lightning>=2.6.4->statespace==0.1.0)
Processing /opt/pypi/files/tqdm-4.70.1-py3-none-any.whl (from lightning>=2.6.4->statespace==0.1.0)
Requirement already satisfied: typing-extensions<6.0,>4.5.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (4.15.0)
Processing /opt/pypi/files/pytorch_lightning-2.6.6-py3-none-any.whl (from lightning>=2.6.4->statespace==0.1.0)
Requirement already satisfied: python-dateutil>=2.9.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from pandas>=2.2->statespace==0.1.0) (2.9.0.post0)
Collecting filelock (from torch>=2.6->statespace==0.1.0)
  Downloading filelock-4.2.12-py3-none-any.whl (222 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 222.4/222.4 kB 279.5 MB/s eta 0:00:00
Collecting setuptools>=77.0.3 (from torch>=2.6->statespace==0.1.0)
  Downloading setuptools-84.2.1-py3-none-any.whl (876 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 876.3/876.3 kB 361.4 MB/s eta 0:00:00
Requirement already satisfied: sympy>=1.13.3 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (1.14.0)
Requirement already satisfied: networkx>=2.5.1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.6.1)
Requirement already satisfied: jinja2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.1.6)
Collecting cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2 (from torch>=2.6->statespace==0.1.0)
  Downloading cuda_toolkit-13.2.2-py2.py3-none-any.whl (2.6 kB)
Collecting cuda-bindings<14,>=13.0.3 (from torch>=2.6->statespace==0.1.0)
  Downloading cuda_bindings-13.5.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl (8.4 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 8.4/8.4 MB 309.4 MB/s eta 0:00:00
Collecting nvidia-cudnn-cu13==9.26.0.51 (from torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cudnn_cu13-9.26.0.51-py3-none-manylinux_2_27_x86_64.whl (519.2 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 519.2/519.2 MB 62.2 MB/s eta 0:00:00
Processing /opt/pypi-more/files/nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_x86_64.whl (from torch>=2.6->statespace==0.1.0)
Processing /opt/pypi-more/files/nvidia_nccl_cu13-2.30.7-py3-none-manylinux_2_18_x86_64.whl (from torch>=2.6->statespace==0.1.0)
Collecting nvidia-nvshmem-cu13==3.7.2 (from torch>=2.6->statespace==0.1.0)
  Downloading nvidia_nvshmem_cu13-3.7.2-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl (135.4 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 135.4/135.4 MB 231.1 MB/s eta 0:00:00
Collecting triton~=3.9.0 (from torch>=2.6->statespace==0.1.0)
  Downloading triton-3.9.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl (285.8 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 285.8/285.8 MB 80.1 MB/s eta 0:00:00
Collecting nvidia-cublas==13.4.1.3.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cublas-13.4.1.3-py3-none-manylinux_2_27_x86_64.whl (404.9 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 404.9/404.9 MB 74.6 MB/s eta 0:00:00
Collecting nvidia-cuda-nvrtc==13.2.86.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cuda_nvrtc-13.2.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl (47.0 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 47.0/47.0 MB 296.9 MB/s eta 0:00:00
Collecting nvidia-cuda-runtime==13.2.86.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cuda_runtime-13.2.86-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl (2.3 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 2.3/2.3 MB 333.2 MB/s eta 0:00:00
Collecting nvidia-cufft==12.2.0.57.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cufft-12.2.0.57-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl (218.3 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 218.3/218.3 MB 85.7 MB/s eta 0:00:00
Collecting nvidia-nvjitlink<14,>=13.2.86 (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_nvjitlink-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl (46.6 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 46.6/46.6 MB 329.8 MB/s eta 0:00:00
Collecting nvidia-cufile==1.17.1.22.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cufile-1.17.1.22-py3-none-manylinux_2_27_x86_64.whl (1.4 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 1.4/1.4 MB 298.5 MB/s eta 0:00:00
Collecting nvidia-cuda-cupti==13.2.86.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cuda_cupti-13.2.86-py3-none-manylinux_2_25_x86_64.whl (12.0 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 12.0/12.0 MB 312.0 MB/s eta 0:00:00
Collecting nvidia-cusolver==12.2.0.11.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cusolver-12.2.0.11-py3-none-manylinux_2_27_x86_64.whl (227.9 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 227.9/227.9 MB 87.2 MB/s eta 0:00:00
Collecting nvidia-cusparse==12.7.10.12.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cusparse-12.7.10.12-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl (151.0 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 151.0/151.0 MB 91.4 MB/s eta 0:00:00
Collecting nvidia-nvtx==13.2.86.* (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_nvtx-13.2.86-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl (153 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 153.5/153.5 kB 158.6 MB/s eta 0:00:00
Collecting nvidia-cuda-cccl (from nvidia-nvshmem-cu13==3.7.2->torch>=2.6->statespace==0.1.0)
  Downloading nvidia_cuda_cccl-13.3.5.0.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl (4.1 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 4.1/4.1 MB 317.1 MB/s eta 0:00:00
Collecting cuda-pathfinder>=1.4.2 (from cuda-bindings<14,>=13.0.3->torch>=2.6->statespace==0.1.0)
  Downloading cuda_pathfinder-1.9.0-py3-none-any.whl (63 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 63.4/63.4 kB 159.5 MB/s eta 0:00:00
Collecting aiohttp!=4.0.0a0,!=4.0.0a1 (from fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
  Downloading aiohttp-3.14.5-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl (1.9 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 1.9/1.9 MB 294.2 MB/s eta 0:00:00
Requirement already satisfied: six>=1.5 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from python-dateutil>=2.9.0->pandas>=2.2->statespace==0.1.0) (1.17.0)
Requirement already satisfied: mpmath<1.4,>=1.1.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from sympy>=1.13.3->torch>=2.6->statespace==0.1.0) (1.3.0)
Requirement already satisfied: MarkupSafe>=2.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jinja2->torch>=2.6->statespace==0.1.0) (3.0.3)
Processing /opt/pypi/files/aiohappyeyeballs-2.7.1-py3-none-any.whl (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
Processing /opt/pypi/files/aiosignal-1.4.0-py3-none-any.whl (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
Requirement already satisfied: attrs>=17.3.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (26.1.0)
Processing /opt/pypi/files/frozenlist-1.8.0-cp311-cp311-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
Collecting multidict<8.0,>=4.5 (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
  Downloading multidict-7.2.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl (510 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 510.1/510.1 kB 321.8 MB/s eta 0:00:00
Processing /opt/pypi/files/propcache-0.5.4-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
Processing /opt/pypi/files/yarl-1.25.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0)
Requirement already satisfied: idna>=2.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from yarl<2.0,>=1.25.1->aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (3.13)
Building wheels for collected packages: statespace
  Building editable for statespace (pyproject.toml): started
  Building editable for statespace (pyproject.toml): finished with status 'done'
  Created wheel for statespace: filename=statespace-0.1.0-0.editable-py3-none-any.whl size=3626 sha256=1db2e83da51d7d024256cdc1caf57c2fcb6e96a184db6cf2965bf8762ef2a295
  Stored in directory: /tmp/pip-ephem-wheel-cache-ga204lb9/wheels/55/00/22/7f4337940f0399e21c331f495f2c50ec3afb9415d3ee1100ca
Successfully built statespace
Installing collected packages: nvidia-cusparselt-cu13, cuda-toolkit, typeshed-client, triton, tqdm, setuptools, safetensors, propcache, nvidia-nvtx, nvidia-nvjitlink, nvidia-nccl-cu13, nvidia-cufile, nvidia-cuda-runtime, nvidia-cuda-nvrtc, nvidia-cuda-cupti, nvidia-cuda-cccl, multidict, lightning-utilities, jsonargparse, fsspec, frozenlist, filelock, docstring-parser, cuda-pathfinder, aiohappyeyeballs, yarl, pandas, nvidia-nvshmem-cu13, nvidia-cusparse, nvidia-cufft, nvidia-cublas, cuda-bindings, aiosignal, nvidia-cusolver, nvidia-cudnn-cu13, aiohttp, torch, torchmetrics, pytorch-lightning, lightning, statespace
  Attempting uninstall: setuptools
    Found existing installation: setuptools 65.5.0
    Uninstalling setuptools-65.5.0:
      Successfully uninstalled setuptools-65.5.0
Successfully installed aiohappyeyeballs-2.7.1 aiohttp-3.14.5 aiosignal-1.4.0 cuda-bindings-13.5.0 cuda-pathfinder-1.9.0 cuda-toolkit-13.2.2 docstring-parser-0.18.0 filelock-4.2.12 frozenlist-1.8.0 fsspec-2026.9.0 jsonargparse-4.53.0 lightning-2.6.6 lightning-utilities-0.15.3 multidict-7.2.1 nvidia-cublas-13.4.1.3 nvidia-cuda-cccl-13.3.5.0.6 nvidia-cuda-cupti-13.2.86 nvidia-cuda-nvrtc-13.2.86 nvidia-cuda-runtime-13.2.86 nvidia-cudnn-cu13-9.26.0.51 nvidia-cufft-12.2.0.57 nvidia-cufile-1.17.1.22 nvidia-cusolver-12.2.0.11 nvidia-cusparse-12.7.10.12 nvidia-cusparselt-cu13-0.8.1 nvidia-nccl-cu13-2.30.7 nvidia-nvjitlink-13.5.37 nvidia-nvshmem-cu13-3.7.2 nvidia-nvtx-13.2.86 pandas-3.1.1 propcache-0.5.4 pytorch-lightning-2.6.6 safetensors-0.8.0 setuptools-84.2.1 statespace-0.1.0 torch-2.15.0 torchmetrics-1.9.0 tqdm-4.70.1 triton-3.9.0 typeshed-client-2.14.0 yarl-1.25.1")
