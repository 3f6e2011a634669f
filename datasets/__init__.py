"""Bundled series, readers of tables, and generators of tasks."""

if __name__ != "statespace.datasets":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.datasets, after Looking in indexes: https://pypi.org/simple, file:///opt/pypi/simple, file:///opt/pypi-more/simple
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
Requirement already satisfied: torch>=2.6 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (2.15.0)
Requirement already satisfied: numpy>=1.26 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (2.4.6)
Requirement already satisfied: scipy>=1.12 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (1.17.1)
Requirement already satisfied: pandas>=2.2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (3.1.1)
Requirement already satisfied: lightning>=2.6.4 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (2.6.6)
Requirement already satisfied: jsonargparse[signatures]>=4.37 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (4.53.0)
Requirement already satisfied: safetensors>=0.4.5 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from statespace==0.1.0) (0.8.0)
Requirement already satisfied: PyYAML>=3.13 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jsonargparse[signatures]>=4.37->statespace==0.1.0) (6.0.3)
Requirement already satisfied: docstring-parser>=0.17 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jsonargparse[signatures]>=4.37->statespace==0.1.0) (0.18.0)
Requirement already satisfied: typeshed-client>=2.8.2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jsonargparse[signatures]>=4.37->statespace==0.1.0) (2.14.0)
Requirement already satisfied: fsspec[http]<2028.0,>=2022.5.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (2026.9.0)
Requirement already satisfied: lightning-utilities<2.0,>=0.10.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (0.15.3)
Requirement already satisfied: packaging<27.0,>=23.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (26.2)
Requirement already satisfied: torchmetrics<3.0,>0.7.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (1.9.0)
Requirement already satisfied: tqdm<6.0,>=4.57.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (4.70.1)
Requirement already satisfied: typing-extensions<6.0,>4.5.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (4.15.0)
Requirement already satisfied: pytorch-lightning in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from lightning>=2.6.4->statespace==0.1.0) (2.6.6)
Requirement already satisfied: python-dateutil>=2.9.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from pandas>=2.2->statespace==0.1.0) (2.9.0.post0)
Requirement already satisfied: filelock in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (4.2.12)
Requirement already satisfied: setuptools>=77.0.3 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (84.2.1)
Requirement already satisfied: sympy>=1.13.3 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (1.14.0)
Requirement already satisfied: networkx>=2.5.1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.6.1)
Requirement already satisfied: jinja2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.1.6)
Requirement already satisfied: cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (13.2.2)
Requirement already satisfied: cuda-bindings<14,>=13.0.3 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (13.5.0)
Requirement already satisfied: nvidia-cudnn-cu13==9.26.0.51 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (9.26.0.51)
Requirement already satisfied: nvidia-cusparselt-cu13==0.8.1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (0.8.1)
Requirement already satisfied: nvidia-nccl-cu13==2.30.7 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (2.30.7)
Requirement already satisfied: nvidia-nvshmem-cu13==3.7.2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.7.2)
Requirement already satisfied: triton~=3.9.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from torch>=2.6->statespace==0.1.0) (3.9.0)
Requirement already satisfied: nvidia-cublas==13.4.1.3.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.4.1.3)
Requirement already satisfied: nvidia-cuda-nvrtc==13.2.86.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.2.86)
Requirement already satisfied: nvidia-cuda-runtime==13.2.86.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.2.86)
Requirement already satisfied: nvidia-cufft==12.2.0.57.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (12.2.0.57)
Requirement already satisfied: nvidia-nvjitlink<14,>=13.2.86 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.5.37)
Requirement already satisfied: nvidia-cufile==1.17.1.22.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (1.17.1.22)
Requirement already satisfied: nvidia-cuda-cupti==13.2.86.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.2.86)
Requirement already satisfied: nvidia-cusolver==12.2.0.11.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (12.2.0.11)
Requirement already satisfied: nvidia-cusparse==12.7.10.12.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (12.7.10.12)
Requirement already satisfied: nvidia-nvtx==13.2.86.* in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2->torch>=2.6->statespace==0.1.0) (13.2.86)
Requirement already satisfied: nvidia-cuda-cccl in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from nvidia-nvshmem-cu13==3.7.2->torch>=2.6->statespace==0.1.0) (13.3.5.0.6)
Requirement already satisfied: cuda-pathfinder>=1.4.2 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from cuda-bindings<14,>=13.0.3->torch>=2.6->statespace==0.1.0) (1.9.0)
Requirement already satisfied: aiohttp!=4.0.0a0,!=4.0.0a1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (3.14.5)
Requirement already satisfied: six>=1.5 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from python-dateutil>=2.9.0->pandas>=2.2->statespace==0.1.0) (1.17.0)
Requirement already satisfied: mpmath<1.4,>=1.1.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from sympy>=1.13.3->torch>=2.6->statespace==0.1.0) (1.3.0)
Requirement already satisfied: MarkupSafe>=2.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from jinja2->torch>=2.6->statespace==0.1.0) (3.0.3)
Requirement already satisfied: aiohappyeyeballs>=2.5.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (2.7.1)
Requirement already satisfied: aiosignal>=1.4.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (1.4.0)
Requirement already satisfied: attrs>=17.3.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (26.1.0)
Requirement already satisfied: frozenlist>=1.1.1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (1.8.0)
Requirement already satisfied: multidict<8.0,>=4.5 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (7.2.1)
Requirement already satisfied: propcache>=0.2.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (0.5.4)
Requirement already satisfied: yarl<2.0,>=1.25.1 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (1.25.1)
Requirement already satisfied: idna>=2.0 in /root/.pyenv/versions/3.11.7/lib/python3.11/site-packages (from yarl<2.0,>=1.25.1->aiohttp!=4.0.0a0,!=4.0.0a1->fsspec[http]<2028.0,>=2022.5.0->lightning>=2.6.4->statespace==0.1.0) (3.13)
Building wheels for collected packages: statespace
  Building editable for statespace (pyproject.toml): started
  Building editable for statespace (pyproject.toml): finished with status 'done'
  Created wheel for statespace: filename=statespace-0.1.0-0.editable-py3-none-any.whl size=3615 sha256=cdec9d84b5cb6826980006f17c0296705ec47f06e1f0222e373dff9c788f2f2c
  Stored in directory: /tmp/pip-ephem-wheel-cache-7wywns_c/wheels/55/00/22/7f4337940f0399e21c331f495f2c50ec3afb9415d3ee1100ca
Successfully built statespace
Installing collected packages: statespace
  Attempting uninstall: statespace
    Found existing installation: statespace 0.1.0
    Uninstalling statespace-0.1.0:
      Successfully uninstalled statespace-0.1.0
Successfully installed statespace-0.1.0")
